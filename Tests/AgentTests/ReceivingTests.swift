import Fleet
import Foundation
import Glibc
import Sealing
import Testing
import TestSupport

@Suite("Receiving software")
struct ReceivingTests {
    @Test(
        "A part with a flipped bit is refused and fetched again",
        arguments: [RolloutPolicy.Delivery.shared, .individual])
    func flipped(delivery: RolloutPolicy.Delivery) async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle(padding: 10_000)
            manager.change { $0.damaged = [0, 3] }
            try await manager.order(bundle, bundle.order(1, delivery: delivery))
            try await manager.running(bundle, generation: 1)
            #expect(manager.read { $0.sent[0, default: 0] } >= 2 && manager.read { $0.sent[3, default: 0] } >= 2)
            #expect(agent.output.contains("part 3 of \(bundle.digest.prefix(12)) was refused"))
        }
    }

    @Test("An agent killed in the middle goes on with the parts that it had, and the old software runs meanwhile")
    func resumed() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let old = try SampleBundle(version: "1")
            try await manager.order(old)
            try await manager.running(old, generation: 1)
            let pid = try await agent.softwarePID()

            let new = try SampleBundle(version: "2", padding: 40_000)
            manager.change { state in
                state.limit = 10
                state.sent = [:]
            }
            try await manager.order(new, generation: 2)
            let receiving = try await manager.status("ten parts") { $0.receiving?.have == PartRanges(upTo: 10) }
            #expect(receiving.state == .receiving && receiving.software?.version == "1" && receiving.order == 2)
            #expect(Processes.isAlive(pid))
            try await agent.end(SIGKILL)
            try await manager.status("away") { $0.state == .away }
            #expect(Processes.isAlive(pid))

            manager.change { state in
                state.limit = .max
                state.sent = [:]
            }
            try agent.start()
            try await manager.running(new, generation: 2)
            #expect((0..<10).allSatisfy { index in manager.read { $0.sent[index] } == nil })
            #expect(manager.read { $0.sent.count } == new.count - 10)
            #expect(!Processes.isAlive(pid))
        }
    }

    @Test(
        "Where its stream or key is another in the middle, it goes on with that one and the parts that it had",
        arguments: [false, true])
    func otherStream(isKilled: Bool) async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle(padding: 20_000)
            manager.change { $0.limit = 5 }
            try await manager.order(bundle)
            try await manager.status("five parts") { $0.receiving?.have == PartRanges(upTo: 5) }
            if isKilled { try await agent.end(SIGKILL) }
            var other = bundle
            other.contentKey = ContentKey()
            manager.change { state in
                state.limit = .max
                state.sent = [:]
            }
            try await manager.order(other, other.order(1, delivery: .individual, issue: 2))
            if isKilled { try agent.start() }
            try await manager.running(other, generation: 1)
            #expect((0..<5).allSatisfy { index in manager.read { $0.sent[index] } == nil })
            #expect(agent.lines("data/sample/starts").count == 1)
        }
    }

    @Test("What does not have the ordered SHA-256 never runs, and is fetched again from the beginning")
    func wrongDigest() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            var bundle = try SampleBundle(padding: 5_000)
            // Every tag is right: who has the content key sealed other bytes under the digest.
            bundle.digest = BundleDigest.hex(of: Data("another bundle".utf8))
            try await manager.order(bundle)
            let status = try await manager.status("the wrong SHA-256") { $0.reason?.contains("SHA-256") ?? false }
            #expect(status.software == nil)
            #expect(try await eventually(within: .seconds(40)) { manager.read { $0.sent[0, default: 0] } >= 2 })
            #expect(!agent.exists("releases/\(bundle.digest)") && !agent.exists("data/sample/starts"))
            #expect(agent.software == [])
            // The next order is not held up by it.
            let good = try SampleBundle()
            try await manager.order(good, generation: 2)
            try await manager.running(good, generation: 2)
        }
    }

    @Test("A bundle that is here already is not fetched again, and only the current and the previous one are kept")
    func kept() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundles = try (1...3).map { try SampleBundle(version: "\($0)") }
            for (index, bundle) in bundles.enumerated() {
                try await manager.order(bundle, generation: index + 1)
                try await manager.running(bundle, generation: index + 1)
            }
            #expect(
                try await eventually(within: .seconds(40)) {
                    !agent.exists("releases/\(bundles[0].digest)")
                        && !agent.exists("bundles/\(bundles[0].digest).bundle")
                })
            #expect(
                agent.exists("releases/\(bundles[2].digest)") && agent.exists("bundles/\(bundles[1].digest).bundle"))
            manager.change { $0.sent = [:] }
            try await manager.order(bundles[1], generation: 4)
            try await manager.running(bundles[1], generation: 4)
            #expect(manager.read { $0.sent } == [:])
        }
    }

    @Test("Exchanged files are reported, and the same software ordered again is unpacked afresh")
    func tampered() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let file = URL(fileURLWithPath: agent.path("releases/\(bundle.digest)/version"))
            let time = try FileManager.default.attributesOfItem(atPath: file.path)[.modificationDate]
            try Data("9\n".utf8).write(to: file)
            // The same size and the old time do not hide it.
            try FileManager.default.setAttributes([.modificationDate: try #require(time)], ofItemAtPath: file.path)
            let status = try await manager.status("other files") {
                $0.software.map { $0.digest != bundle.digest } ?? false
            }
            #expect(status.software?.digest.utf8.count == 64)
            try await manager.order(bundle, generation: 2)
            try await manager.running(bundle, generation: 2)
            #expect(try String(contentsOf: file, encoding: .utf8) == "1\n")
        }
    }
}
