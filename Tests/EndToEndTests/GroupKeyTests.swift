import Certificates
import Client
import Fleet
import Foundation
import GRDB
import Messaging
import Sealing
import TestSupport
import Testing

@Suite("A group's key is rotated", .serialized)
struct GroupKeyTests {
    /// Machines that are away are not replaced: they are to come back.
    private static let rules = """
        rule "deliver" { when software.digest != group.digest then deliver }
        """

    private func running(
        _ count: Int, arguments: [String] = [],
        _ body: (Installation, TrunklineClient, [InvitedMachine]) async throws -> Void
    ) async throws {
        try await Installation.with(arguments: arguments) { installation, client in
            let machines = try await installation.verifiedMachines(count, client, rules: Self.rules)
            try await body(installation, client, machines)
        }
    }

    @Test("Software runs on, every machine takes the new key, and no order comes under the old one after that")
    func underRunningSoftware() async throws {
        try await running(2) { installation, client, machines in
            let software = machines.map(\.mainProcess)
            #expect(software.allSatisfy { $0.count == 1 })
            let old = try installation.keys.current
            let sessions = try await client.allMachines(group: "test").map(\.session)
            try await Wiretap.with(installation) { tap in
                let rotated = try installation.trunkline("key", "rotate", "group", "test")
                #expect(rotated.status == 0 && rotated.output.contains("2 machines"), "\(rotated.error)")
                let isForgotten = try await eventually { try installation.keys.previous == nil }
                #expect(isForgotten)
                let keys = try installation.keys
                #expect(keys.current != old)
                #expect(keys.known.count == 2 && keys.known.values.allSatisfy { $0 == keys.current })
                #expect(machines.map(\.mainProcess) == software, "no process was touched")
                let views = try await client.allMachines(group: "test")
                #expect(views.allSatisfy { $0.verified && $0.generation == 1 })
                #expect(views.map(\.session) == sessions, "no connection was, either")

                for machine in machines { _ = try await client.instruct(machine: try machine.id, .restart) }
                let restarted = try await eventually {
                    try await client.allMachines(group: "test").allSatisfy { $0.verified && $0.generation == 2 }
                }
                #expect(restarted)
                for machine in machines {
                    let topic = "trunkline/test/machines/\(try machine.id)/order"
                    let heard = try await eventually {
                        try machine.opens(tap.messages(on: topic).last, from: keys.current)
                    }
                    #expect(heard)
                    let last = tap.messages(on: topic).last
                    #expect(try !machine.opens(last, from: old))
                    #expect(machine.software.allSatisfy(Processes.isAlive) && !machine.software.isEmpty)
                    let file = try FileManager.default.attributesOfItem(atPath: machine.state + "/group.key")
                    #expect(file[.posixPermissions] as? Int == 0o600)
                    #expect(!machine.output.contains("refused"), "\(machine.output)")
                }
            }
            let audit = try installation.trunkline("audit", "list").output.split(separator: "\n")
            #expect(audit.contains { $0.contains("key.rotated") && $0.contains("group test  [user admin, 127.0.0.1]") })
            #expect(try installation.trunkline("audit", "verify").status == 0)
        }
    }

    @Test("A machine that was away comes back with an expired certificate and the old key, and takes the new one")
    func away() async throws {
        try await running(2, arguments: ["--certificate-life", "10s"]) { installation, client, machines in
            let (here, gone) = (machines[0], machines[1])
            let software = gone.mainProcess
            gone.end(with: SIGKILL)
            #expect(try installation.trunkline("key", "rotate", "group", "test").status == 0)
            let current = try installation.keys.current
            #expect(try await eventually { try installation.keys.known[here.id] == current })
            let again = try installation.trunkline("key", "rotate", "group", "test")
            #expect(try again.status == 1 && again.error.contains(gone.id), "\(again.error)")
            #expect(try installation.keys.previous != nil && installation.keys.current == current)
            #expect(try await eventually { try gone.certificateIsExpired })
            // The manager may have been restarted meanwhile.
            installation.killManager()
            try await installation.startManager()
            try gone.start()
            #expect(try await eventually { try installation.keys.previous == nil })
            #expect(try installation.keys.known[gone.id] == current)
            #expect(gone.output.contains("(boot)"))
            #expect(gone.mainProcess == software && software.count == 1)
            try await installation.withClient { client in
                try await client.converged("test")
                _ = try await client.instruct(machine: try gone.id, .restart)
                let restarted = try await eventually {
                    let view = try await client.machine(try gone.id)
                    return view.verified && view.generation == 2
                }
                #expect(restarted)
                #expect(try await client.rotateGroupKey("test").waiting == 2)
            }
            #expect(try await eventually { try installation.keys.previous == nil })
        }
    }

    @Test("A machine that took the new key and was killed before it could say so says so when it is back")
    func killed() async throws {
        try await running(1) { installation, client, machines in
            let machine = machines[0]
            let id = try machine.id
            let old = try installation.keys.current
            machine.end(with: SIGKILL)
            _ = try await client.rotateGroupKey("test")
            let new = try installation.keys.current
            try JSONEncoder().encode(["current": new, "previous": old])
                .write(to: URL(filePath: machine.state + "/group.key"))
            try machine.start()
            let isForgotten = try await eventually { try installation.keys.previous == nil }
            #expect(isForgotten)
            let keys = try installation.keys
            #expect(keys.known[id] == new && keys.current == new)
            try await client.converged("test")
            let names = try await eventually {
                let kept = try JSONDecoder().decode([String: Data].self, from: machine.file("group.key"))
                return kept == ["current": new]
            }
            #expect(names, "the old key is not believed any more")
        }
    }

    @Test("A machine that was given up by force is refused, and a new ticket brings it back under its old security key")
    func givenUp() async throws {
        try await running(1, arguments: ["--certificate-life", "10s"]) { installation, client, machines in
            let machine = machines[0]
            let id = try machine.id
            machine.end(with: SIGKILL)
            _ = try await client.rotateGroupKey("test")
            _ = try await client.rotateGroupKey("test", force: true)
            let isExpired = try await eventually { try machine.certificateIsExpired }
            #expect(isExpired)
            try machine.start()
            let isRefused = try await eventually {
                try await client.allEvents(group: "test").contains { $0.kind == .registrationRefused }
            }
            #expect(isRefused)
            machine.end(with: SIGTERM)
            let ticket = try await client.invite(to: "test", InvitationRequest(uses: 1, ttl: .minutes(5)))
            try machine.give(ticket)
            try machine.start("--rejoin")
            try await client.converged("test")
            let keys = try installation.keys
            #expect(keys.known[id] == keys.current)
            let views = try await client.allMachines(group: "test")
            #expect(views.map(\.id) == [id])
            #expect(!machine.software.isEmpty)
        }
    }

    @Test("A ticket from before admits its machine after it")
    func oldTicket() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1", platform: "none"))
            _ = try await client.instruct(group: "test", .start)
            let ticket = try await client.invite(to: "test", InvitationRequest(uses: 1, ttl: .minutes(5)))
            #expect(try await client.rotateGroupKey("test").waiting == 0)
            #expect(try installation.keys.previous != nil)
            let machine = try InvitedMachine("late", ticket: ticket, in: installation)
            try machine.start()
            try await client.converged("test")
            #expect(try await eventually { try installation.keys.previous == nil })
            #expect(try installation.keys.known[machine.id] == installation.keys.current)
        }
    }
}

/// What the manager's database says of the group `test`.
private struct KeptKeys {
    var current: Data
    var previous: Data?
    /// Which key each machine knows.
    var known: [String: Data]
}

extension Installation {
    fileprivate var keys: KeptKeys {
        get throws {
            let database = try DatabaseQueue(path: data + "/trunkline.sqlite")
            return try database.read { database in
                let group = try Row.fetchOne(
                    database, sql: "SELECT key_public, previous_key_public FROM groups WHERE name = 'test'")
                let machines = try Row.fetchAll(database, sql: "SELECT machine, group_key FROM machine_keys")
                guard let group else { throw Unexpected("there is no group test") }
                return KeptKeys(
                    current: group["key_public"], previous: group["previous_key_public"],
                    known: Dictionary(uniqueKeysWithValues: machines.map { ($0["machine"], $0["group_key"]) }))
            }
        }
    }
}

extension InvitedMachine {
    fileprivate func file(_ name: String) throws -> Data { try Data(contentsOf: URL(filePath: state + "/" + name)) }

    fileprivate var id: String {
        get throws {
            guard let id = try JSONDecoder().decode([String: String].self, from: try file("machine.json"))["machine"]
            else { throw Unexpected("the machine has no name") }
            return id
        }
    }

    /// The software's own, without the short-lived ones that it starts.
    fileprivate var mainProcess: [Int32] {
        software.filter { pid in
            let arguments = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
            return arguments.range(of: Data("start.sh".utf8)) != nil
        }
    }

    fileprivate var certificateIsExpired: Bool {
        get throws {
            let certificate = try TransportCertificate(
                pem: String(decoding: try file("certificate.pem"), as: UTF8.self))
            return Date().timeIntervalSince1970 * 1000 > Double(certificate.notAfter.milliseconds)
        }
    }

    /// Whether this message is an order for it, under this key of its group.
    fileprivate func opens(_ message: Message?, from group: Data) throws -> Bool {
        guard let message, !message.payload.isEmpty else { return false }
        let order = try OrderMessage.decode(message.payload)
        let key = try SecurityKey(rawRepresentation: try file("security.key"))
        let plaintext = try? AuthenticSeal.order.open(
            Sealed(encapsulated: order.encapsulated, ciphertext: order.ciphertext), with: key,
            from: SecurityKey.PublicKey(rawRepresentation: group), authenticating: order.header)
        return plaintext != nil
    }
}
