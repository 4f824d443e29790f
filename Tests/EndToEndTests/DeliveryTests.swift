import Client
import Fleet
import Foundation
import Logging
import Messaging
import TestSupport
import Testing

@Suite("Software on its way to machines", .serialized)
struct DeliveryTests {
    private static let part = 262_144

    /// The numbers of the parts that went over the broker, in order, repetitions included.
    private func parts(_ tap: Wiretap) -> [Int] {
        tap.messages.compactMap { message in
            switch Topics().parse(message.topic) {
            case .part(_, _, let index), .machinePart(_, _, _, let index): message.payload.isEmpty ? nil : index
            default: nil
            }
        }
    }

    /// What a machine said last that it has of a bundle.
    private func reported(_ tap: Wiretap) -> PartRanges {
        tap.messages.compactMap { message -> PartRanges? in
            guard case .status = Topics().parse(message.topic) else { return nil }
            return (try? StatusMessage.decode(message.payload))?.status.receiving?.have
        }.last ?? PartRanges()
    }

    @Test("One stream serves all machines, and neither software nor secrets can be read on the broker")
    func sharedAndSealed() async throws {
        try await Installation.with { installation, client in
            try await Wiretap.with(installation) { tap in
                let marker = "the-words-in-the-bundle"
                var files = Installation.script("soft")
                files["marker.txt"] = String(repeating: marker + "\n", count: 100)
                try await installation.push(files: Installation.script("soft", version: "0"), client)
                let software = try await installation.push(files: files, padding: 20_000_000, client)
                try await client.setSecret("greeting", to: "a-secret-that-nobody-reads")
                func record(_ version: Int) -> String {
                    Installation.record(
                        software: "soft@\(version)", count: 3, rollout: " bandwidth = 5MB/s  batch = 100%",
                        environment: "GREETING = secret(\"greeting\")")
                }
                _ = try await client.createGroup(record(0))
                _ = try await client.instruct(group: "test", .start)
                try await client.converged("test")
                let before = parts(tap).count
                _ = try await client.changeGroup("test", to: record(1))
                try await client.converged("test")

                let count = (software.size + Self.part - 1) / Self.part
                // The index goes under the number after the last.
                let sent = Array(parts(tap).dropFirst(before).filter { $0 != count })
                #expect(Set(sent) == Set(0..<count))
                // At this bandwidth who subscribes last misses a few parts; two streams would be twice the count.
                #expect(sent.count <= count * 3 / 2, "one stream, and not one for each machine")
                #expect(
                    tap.messages.allSatisfy { !$0.topic.contains("/software/") || !$0.topic.contains("/machines/") })
                for secret in [marker, "a-secret-that-nobody-reads", "./start.sh"] {
                    #expect(!tap.messages.contains { $0.payload.range(of: Data(secret.utf8)) != nil })
                }
                for machine in try await client.allMachines(group: "test") {
                    let greeting = try #require(
                        RecoveryTests.find("greeting", below: "\(installation.data)/machines/\(machine.id)"))
                    #expect(try String(contentsOfFile: greeting, encoding: .utf8) == "a-secret-that-nobody-reads\n")
                }
            }
        }
    }

    /// Has the broker go by these rights from now on: returns once somebody may say what nobody might before.
    private func setRights(_ text: String, _ installation: Installation, probe: String) async throws {
        let broker = installation.broker
        let connection = Connection(
            Connection.Configuration(
                broker: try #require(BrokerAddress(broker.url)), clientID: probe,
                security: try installation.security(of: probe)), logger: Logger(label: probe))
        let running = Task { await connection.run() }
        try text.appending("\nuser \(probe)\ntopic write probe/\(probe)\n").write(
            to: broker.directory.appending(path: "known/acl"), atomically: false, encoding: .utf8)
        try broker.reload()
        let message = Message(topic: "probe/\(probe)", payload: Data(), qos: .atLeastOnce, retained: false)
        let isTaken = try await eventually { (try? await connection.publish(message)) != nil }
        await connection.close()
        await running.value
        try #require(isTaken)
    }

    private func managerLog(_ installation: Installation) throws -> String {
        try String(contentsOf: installation.directory.appending(path: "manager.log"), encoding: .utf8)
    }

    @Test(
        "Parts go over a connection of their own; over the manager's where the broker's rights are of an earlier version"
    )
    func ownConnection() async throws {
        try await Installation.with { installation, client in
            let broker = installation.broker
            let rights = try String(contentsOf: broker.directory.appending(path: "known/acl"), encoding: .utf8)
            let all = "user manager\ntopic readwrite trunkline/#\n"
            let own = try #require(rights.range(of: "user parts\n"))
            #expect(rights.contains(all))
            for version in 0...2 {
                try await installation.push(
                    files: Installation.script("soft", version: "\(version)"), padding: 600_000, client)
            }
            // What manager and machines say beside the parts is not in the way.
            try await setRights(
                rights.replacing(all, with: all + "topic deny trunkline/+/software/+/+\n"), installation, probe: "first"
            )
            _ = try await client.createGroup(Installation.record(software: "soft@0", count: 1))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            _ = try await client.changeGroup("test", to: Installation.record(software: "soft@1", count: 1))
            try await client.converged("test")
            #expect(try !managerLog(installation).contains("acl of this version"))
            // Another name is nobody there.
            try await setRights(
                rights.replacingCharacters(in: own, with: "user others\n"), installation, probe: "second")
            _ = try await client.changeGroup("test", to: Installation.record(software: "soft@2", count: 1))
            try await client.converged("test")
            #expect(try managerLog(installation).split(separator: "acl of this version").count == 2, "said once")
        }
    }

    @Test("With delivery = individual every machine has a stream and a key of its own")
    func individual() async throws {
        try await Installation.with { installation, client in
            try await Wiretap.with(installation) { tap in
                try await installation.push(files: Installation.script("soft"), padding: 600_000, client)
                _ = try await client.createGroup(
                    Installation.record(software: "soft@1", count: 2, rollout: " delivery = individual"))
                _ = try await client.instruct(group: "test", .start)
                try await client.converged("test")
                var streams: [String: [Data]] = [:]
                for message in tap.messages {
                    switch Topics().parse(message.topic) {
                    case .machinePart(_, let machine, _, 0): streams[machine, default: []].append(message.payload)
                    case .part: Issue.record("a shared part was sent: \(message.topic)")
                    default: continue
                    }
                }
                #expect(Set(streams.keys) == Set(try await client.allMachines(group: "test").map(\.id)))
                #expect(
                    Set(streams.values.compactMap(\.first)).count == 2, "the same part has other bytes for each machine"
                )
            }
        }
    }

    @Test("Of a new version a machine receives what it does not have in the old one")
    func onlyChanged() async throws {
        try await Installation.with { installation, client in
            try await Wiretap.with(installation) { tap in
                var generator = SeededGenerator(seed: 11)
                func megabyte() -> String {
                    String(
                        decoding: (0..<1 << 20).map { _ in UInt8.random(in: 33...126, using: &generator) },
                        as: UTF8.self)
                }
                let much = (0..<12).map { ("part-\($0).txt", megabyte()) }
                func files(_ version: String) -> [String: String] {
                    Installation.script("soft", version: version).merging(much) { own, _ in own }
                }
                try await installation.push(files: files("1"), client)
                _ = try await client.createGroup(Installation.record(software: "soft@1", count: 2))
                _ = try await client.instruct(group: "test", .start)
                try await client.converged("test")
                let before = tap.messages.count
                var changed = files("2")
                changed["part-5.txt"] = megabyte()
                let new = try await installation.push(files: changed, client)
                _ = try await client.changeGroup("test", to: Installation.record(software: "soft@2", count: 2))
                try await client.converged("test")
                let moved = tap.messages.dropFirst(before).filter { $0.topic.contains("/software/\(new.digest)/") }
                let bytes = moved.reduce(0) { $0 + $1.payload.count }
                // What is new, cut at parts, and the index; each for both machines at once, or at worst once for each.
                #expect(new.size > 9 << 20 && bytes > 800_000)
                #expect(bytes < 2 * (2 << 20), "\(bytes) of \(new.size)")
            }
        }
    }

    @Test("A delivery that is changed in the middle of a transfer goes on the other way")
    func changedMeanwhile() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), padding: 24 * Self.part, client)
            _ = try await client.createGroup(
                Installation.record(software: "soft@1", count: 2, rollout: " bandwidth = 500kB/s"))
            _ = try await client.instruct(group: "test", .start)
            let isReceiving = try await eventually(within: .seconds(60)) {
                let machines = try await client.allMachines(group: "test")
                return machines.count == 2 && machines.allSatisfy { $0.receiving?.have.isEmpty == false }
            }
            #expect(isReceiving)
            _ = try await client.changeGroup(
                "test", to: Installation.record(software: "soft@1", count: 2, rollout: " delivery = individual"))
            try await client.converged("test")
        }
    }

    @Test("An agent killed in the middle goes on with the parts that it has")
    func resumes() async throws {
        try await Installation.with { installation, client in
            try await Wiretap.with(installation) { tap in
                try await installation.push(files: Installation.script("soft"), padding: 24 * Self.part, client)
                let machine = try #require(
                    try await installation.invite(
                        1, client,
                        record: Installation.record(software: "soft@1", platform: "none", rollout: " bandwidth = 4MB/s")
                    ).first)
                let began = try await eventually { reported(tap).count >= 8 }
                #expect(began, "it reports every eighth part")
                machine.end(with: SIGKILL)
                let stored = reported(tap)
                let before = parts(tap).count
                try machine.start()
                try await client.converged("test")
                let after = parts(tap).dropFirst(before)
                #expect(!after.isEmpty)
                #expect(!after.contains { stored.contains($0) }, "what it had said that it has travels once")
            }
        }
    }

    @Test("Parts that somebody else made up are noticed and fetched again, and only the true software runs")
    func forgedParts() async throws {
        try await Installation.with { installation, client in
            try await Wiretap.with(installation) { tap in
                let software = try await installation.push(
                    files: Installation.script("soft"), padding: 12 * Self.part, client)
                let machines = try await installation.invite(
                    1, client,
                    record: Installation.record(software: "soft@1", platform: "none", rollout: " bandwidth = 2MB/s"))
                #expect(try await eventually { !parts(tap).isEmpty })
                for part in 0..<13 {
                    try await tap.say(
                        Data(repeating: UInt8(part), count: Self.part + 16),
                        on: "trunkline/test/software/\(software.digest)/\(part)")
                }
                let refusal = "of \(software.digest.prefix(12)) was refused"
                let reached = try await eventually { machines[0].output.contains(refusal) }
                #expect(reached, "\(machines[0].output.suffix(2000))")
                try await client.converged("test")
                let machine = try #require(try await client.allMachines(group: "test").first)
                #expect(machine.software?.digest == software.digest)
                #expect(!machines[0].software.isEmpty)
            }
        }
    }

    @Test("A stopped machine holds nobody up, and catches up when it goes on")
    func slowMachine() async throws {
        try await Installation.with { installation, client in
            let machines = try await installation.verifiedMachines(3, client)
            try await installation.push(
                files: Installation.script("soft", version: "2"), padding: 40 * Self.part, client)
            machines[1].signal(SIGSTOP)
            _ = try await client.changeGroup(
                "test", to: Installation.record(software: "soft@2", count: 3, platform: "none"))
            let others = try await eventually(within: .seconds(60)) {
                try await client.group("test").status.verified == 2
            }
            #expect(others)
            machines[1].signal(SIGCONT)
            let group = try await client.converged("test")
            #expect(group.status.verified == 3)
        }
    }

    @Test("A broker that loses everything in the middle of a delivery only delays it")
    func brokerLost() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), padding: 40 * Self.part, client)
            _ = try await installation.invite(
                2, client,
                record: Installation.record(
                    software: "soft@1", count: 2, platform: "none", rollout: " bandwidth = 5MB/s"))
            let receiving = try await eventually {
                try await client.allMachines(group: "test").contains { ($0.receiving?.have.count ?? 0) > 4 }
            }
            #expect(receiving)
            await installation.broker.kill()
            try await installation.broker.restart(keepingPersistence: false)
            let group = try await client.converged("test", within: .seconds(90))
            #expect(group.status.verified == 2)
        }
    }
}
