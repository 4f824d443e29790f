import Certificates
import Client
import Fleet
import Foundation
import Messaging
import Sealing
import TestSupport
import Testing

@Suite("Who gets to the broker", .serialized)
struct CertificateTests {
    @Test("A machine has a certificate in its own name for a week, and keys that only it can read")
    func issued() async throws {
        try await Installation.withMachines { installation, client, machines in
            let machine = try #require(try await client.allMachines(group: "test").first)
            let certificate = try machines[0].certificate
            #expect(certificate.commonName == "test/machines/\(machine.id)")
            let life = certificate.notAfter.milliseconds - certificate.notBefore.milliseconds
            #expect(abs(life - 7 * 86_400_000) < 600_000)
            for file in [
                machines[0].state + "/transport.key", machines[0].state + "/security.key",
                installation.data + "/ca/ca.key", installation.data + "/broker/broker.pem",
                installation.data + "/master.key",
            ] {
                let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
                #expect(mode == 0o600, "\(file)")
            }
        }
    }

    @Test("A certificate is renewed over MQTT before it ends, and the software does not notice")
    func renewed() async throws {
        try await Installation.withMachines(arguments: ["--certificate-life", "15s"]) { _, client, machines in
            let first = try machines[0].certificate
            let software = Set(machines[0].software)
            #expect(!software.isEmpty)
            let renewed = try await eventually { try machines[0].certificate.serial != first.serial }
            #expect(renewed)
            #expect(try machines[0].certificate.notAfter > first.notAfter)
            #expect(!software.isDisjoint(with: machines[0].software))
            #expect(try await client.allMachines(group: "test").allSatisfy { $0.verified && $0.session == 1 })
        }
    }

    @Test("A machine that was away until its certificate had ended comes back by its key alone: no ticket, no human")
    func comesBack() async throws {
        try await Installation.withMachines(arguments: ["--certificate-life", "10s"]) { _, client, machines in
            let software = Set(machines[0].software)
            machines[0].end(with: SIGKILL)
            let first = try machines[0].certificate
            let ended = try await eventually {
                Date() > Date(timeIntervalSince1970: Double(first.notAfter.milliseconds) / 1000 + 1)
            }
            #expect(ended)
            #expect(try await eventually { try await client.allMachines(group: "test")[0].state == .away })
            try machines[0].start()
            try await client.converged("test")
            #expect(try machines[0].certificate.serial != first.serial)
            #expect(!software.isDisjoint(with: machines[0].software), "it ran on and was taken over")
            #expect(try await client.allMachines(group: "test").count == 1)
        }
    }

    @Test(
        "What is damaged of a machine's transport is had again by its key, and its software is not restarted",
        arguments: ["transport.key", "certificate.pem", "trust.pem", "group.key"])
    func damagedTransport(file: String) async throws {
        try await Installation.withMachines { _, client, machines in
            let id = try #require(try await client.allMachines(group: "test").first?.id)
            let since = try #require(try await client.machine(id).software?.since)
            for content in [Data(), Data([0x7b, 0x00, 0xff])] {
                machines[0].end(with: SIGKILL)
                let session = try await client.machine(id).session
                try content.write(to: URL(filePath: "\(machines[0].state)/\(file)"))
                try machines[0].start()
                let isBack = try await eventually {
                    let machine = try await client.machine(id)
                    return machine.session > session && machine.state == .running
                }
                #expect(isBack, "\(machines[0].output.suffix(2000))")
                let machine = try await client.machine(id)
                #expect(machine.software?.since == since && machine.software?.restarts == 0)
                // A certificate is no news: machines get others all the time.
                #expect(machine.reason?.contains(file) == (file == "certificate.pem" ? nil : true))
            }
        }
    }

    @Test("A machine that lost its certificate gets another; one that lost its key as well gets none")
    func lostCertificate() async throws {
        try await Installation.withMachines { _, client, machines in
            machines[0].end(with: SIGKILL)
            try FileManager.default.removeItem(atPath: machines[0].state + "/certificate.pem")
            try machines[0].start()
            #expect(try await eventually { (try? machines[0].certificate) != nil })
            #expect(try await eventually { try await client.allMachines(group: "test")[0].state == .running })

            machines[0].end(with: SIGKILL)
            let before = try await client.allMachines(group: "test")
            let id = try #require(before.first?.id)
            let away = machines[0].state + ".away"
            try FileManager.default.moveItem(atPath: machines[0].state, toPath: away)
            // A machine that knows its name and its ticket, and no key: it makes another one and asks with that.
            try FileManager.default.createDirectory(
                atPath: machines[0].state, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
            for name in ["machine.json", "ticket.json"] {
                try FileManager.default.copyItem(atPath: "\(away)/\(name)", toPath: "\(machines[0].state)/\(name)")
            }
            try machines[0].start()
            let refused = try await eventually {
                try await client.allEvents(machine: id).contains {
                    $0.kind == .registrationRefused && $0.message.contains("another key")
                }
            }
            #expect(refused, "\(machines[0].output.suffix(2000))")
            #expect(!FileManager.default.fileExists(atPath: machines[0].state + "/certificate.pem"))
            let key = try SecurityKey(
                rawRepresentation: Data(contentsOf: URL(fileURLWithPath: machines[0].state + "/security.key")))
            let now = try await client.allMachines(group: "test")
            #expect(now.map(\.id) == [id] && now.map(\.key) == before.map(\.key))
            #expect(now.first?.key != key.publicKey.fingerprint)

            // With its own key it is welcome again.
            machines[0].end(with: SIGKILL)
            try FileManager.default.removeItem(atPath: machines[0].state)
            try FileManager.default.moveItem(atPath: away, toPath: machines[0].state)
            try machines[0].start()
            #expect(try await eventually { try await client.machine(id).state == .running })
        }
    }

    @Test("A revoked machine loses its connection at once and gets no other; the others hear nothing and keep theirs")
    func revoked() async throws {
        try await Installation.withMachines(3) { installation, client, machines in
            let views = try await client.allMachines(group: "test")
            let names = try machines.map { try $0.certificate.commonName.replacing("test/machines/", with: "") }
            let outcast = try #require(views.first)
            let place = try #require(names.firstIndex(of: outcast.id))
            let stolen = try machines[place].security(in: installation)
            try await Wiretap.with(installation) { tap in
                let retained = try await eventually { tap.messages.count >= 6 }
                #expect(retained, "three orders and three statuses")
                let before = tap.messages.count
                _ = try await client.instruct(machine: outcast.id, .revoke)
                let refused = try await eventually { machines[place].output.contains("certificate revoked") }
                #expect(refused, "\(machines[place].output.suffix(2000))")
                #expect(try await installation.refusal(of: stolen) != nil)
                // By its key it asks for another certificate, and is refused.
                let denied = try await eventually {
                    try await client.allEvents(machine: outcast.id).contains {
                        $0.kind == .registrationRefused && $0.message.contains("revoked")
                    }
                }
                #expect(denied)
                let toOthers = tap.messages.dropFirst(before).filter { message in
                    names.contains { $0 != outcast.id && message.topic.contains("/\($0)/") }
                        && !message.topic.hasSuffix("/status")
                }
                #expect(toOthers.isEmpty, "\(toOthers.map(\.topic))")
                for view in views where view.id != outcast.id {
                    let now = try await client.machine(view.id)
                    #expect(now.session == view.session && now.generation == view.generation)
                }
            }
        }
    }

    @Test("A manager that is killed in the middle of a revocation ends the machine's connection when it is back")
    func revokedOverAKill() async throws {
        try await Installation.withMachines { installation, client, machines in
            let machine = try #require(try await client.allMachines(group: "test").first)
            // Committed, but a frozen broker neither reads the list nor takes the connection that would end the other.
            try installation.broker.freeze()
            _ = try await client.instruct(machine: machine.id, .revoke)
            installation.killManager()
            try installation.broker.thaw()
            try await installation.startManager()
            let ended = try await eventually { machines[0].output.contains("certificate revoked") }
            #expect(ended, "\(machines[0].output.suffix(2000))")
        }
    }
}
