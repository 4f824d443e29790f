import Bundles
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

    private static func index(_ bundle: SampleBundle) throws -> BundleIndex {
        let file = FileManager.default.temporaryDirectory.appending(path: "index-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: file) }
        try bundle.content.write(to: file)
        return try BundleIndex(
            bundleAt: file.path, size: bundle.content.count, hash: BundleDigest.short(of:))
    }

    /// Two versions that have most of their bytes in common.
    private static func versions() throws -> (old: SampleBundle, new: SampleBundle) {
        let much = ["a.txt", "b.txt", "c.txt"].map { ($0, RandomBytes.data(count: 600_000).base64EncodedString()) }
        var files = Dictionary(uniqueKeysWithValues: much)
        var old = try SampleBundle(version: "1", more: files)
        files["b.txt"] = RandomBytes.data(count: 10_000).base64EncodedString()
        var new = try SampleBundle(version: "2", more: files)
        (old.partSize, new.partSize) = (8192, 8192)
        return (old, new)
    }

    @Test(
        "What another bundle on the machine has is copied from it, and only the rest is sent", arguments: [false, true])
    func known(isKilled: Bool) async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let (old, new) = try Self.versions()
            try await manager.order(old)
            try await manager.running(old, generation: 1)
            #expect(manager.read { $0.asked } == 0, "with nothing to compare it with")
            let index = try Self.index(new)
            manager.change { state in
                state.index = Data(index.encoded())
                state.sent = [:]
                if isKilled { state.limit = 0 }
            }
            try await manager.order(new, generation: 2)
            if isKilled {
                try await manager.status("what was found") { ($0.receiving?.have.count ?? 0) > new.count / 2 }
                try await agent.end(SIGKILL)
                manager.change { $0.limit = .max }
                try agent.start()
            }
            try await manager.running(new, generation: 2)
            #expect(manager.read { $0.asked } == 1)
            let known = Set(try Self.index(old).chunks)
            let lacking = index.chunks.filter { !known.contains($0) }.reduce(0) { $0 + $1.length }
            let sent = manager.read { $0.sent }
            #expect(sent.count <= lacking / new.partSize + 2 * index.chunks.count, "\(sent.count) of \(new.count)")
            #expect(sent.count < new.count / 2)
        }
    }

    @Test("An index that lies makes no software that was not ordered: all of it is fetched then")
    func lyingIndex() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let (old, new) = try Self.versions()
            try await manager.order(old)
            try await manager.running(old, generation: 1)
            // The old one's chunks in place of the new one's.
            var (bytes, rest) = ([UInt8]([1, 15]), new.content.count)
            func add(_ length: Int, _ hash: UInt64) {
                withUnsafeBytes(of: UInt32(length).bigEndian) { bytes.append(contentsOf: $0) }
                withUnsafeBytes(of: hash.bigEndian) { bytes.append(contentsOf: $0) }
                rest -= length
            }
            for chunk in try Self.index(old).chunks where chunk.length < rest { add(chunk.length, chunk.hash) }
            while rest > 0 { add(min(rest, 8192), 0) }
            #expect(BundleIndex(bytes, size: new.content.count) != nil)
            manager.change { $0.index = Data(bytes) }
            try await manager.order(new, generation: 2)
            try await manager.status("the wrong SHA-256") { $0.reason?.contains("SHA-256") ?? false }
            manager.change { $0.sent = [:] }
            try await manager.running(new, generation: 2)
            #expect(manager.read { $0.asked } == 1 && manager.read { $0.sent.count } == new.count)
            #expect(!agent.exists("releases/new-\(new.digest)"))
        }
    }

    @Test("An index that somebody made up, or of another size, changes nothing")
    func strangeIndex() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let (old, new) = try Self.versions()
            try await manager.order(old)
            try await manager.running(old, generation: 1)
            manager.change { $0.index = Data([1, 15, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]) }
            try await manager.order(new, generation: 2)
            let refusal = "the index of \(new.digest.prefix(12)) was refused"
            #expect(try await eventually(within: .seconds(40)) { agent.output.contains(refusal) })
            // It asks for the parts once the right one does not come.
            try await manager.running(new, generation: 2)
        }
    }

    @Test("What is received is read once and written twice, as bundle and as files")
    func readOnce() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let old = try SampleBundle(version: "1")
            try await manager.order(old)
            try await manager.running(old, generation: 1)
            var new = try SampleBundle(version: "2", padding: 8_000_000)
            new.partSize = 256 << 10
            func bytes(_ what: String) throws -> Int {
                let text = try String(contentsOfFile: "/proc/\(agent.pid)/io", encoding: .utf8)
                let line = text.split(separator: "\n").first { $0.hasPrefix(what + ": ") }
                return try #require(line.flatMap { Int($0.dropFirst(what.count + 2)) })
            }
            manager.change { state in
                state.sent = [:]
                state.isThrifty = true
            }
            let (read, written) = (try bytes("rchar"), try bytes("wchar"))
            try await manager.order(new, new.order(2))
            try await manager.running(new, generation: 2)
            let size = new.content.count
            let (readNow, writtenNow) = (try bytes("rchar") - read, try bytes("wchar") - written)
            // Once from the socket and once from the disk, and once more what was written in the clock's last ticks; statuses, scripts and
            // /proc take the rest. Five times, where it is unpacked when all is here.
            #expect((2 * size..<7 * size / 2).contains(readNow), "\(readNow) of \(size)")
            #expect((2 * size..<5 * size / 2).contains(writtenNow), "\(writtenNow) of \(size)")
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
