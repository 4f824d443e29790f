import Fleet
import Foundation
import Sealing
import Testing

@testable import Agent

@Suite("The part store")
struct PartStoreTests {
    let directory = FileManager.default.temporaryDirectory.appending(path: "parts-\(UUID().uuidString)").path
    let content = RandomBytes.data(count: 2_500)
    var digest: String { BundleDigest.hex(of: content) }

    init() throws { try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true) }

    private func store() throws -> PartStore {
        try PartStore(digest: digest, size: 2_500, partSize: 1_000, count: 3, in: directory)
    }

    private func part(_ index: Int) -> Data { Data(content[index * 1_000..<min(2_500, (index + 1) * 1_000)]) }

    @Test("Remembers its parts over restarts, and makes the bundle of all of them")
    func resumes() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let first = try store()
        try first.write(part(2), index: 2)
        try first.write(part(0), index: 0)
        let second = try store()
        #expect(second.have.description == "0,2")
        try second.write(part(1), index: 1)
        #expect(second.have == PartRanges(upTo: 3))
        let cache = BundleCache(directory: directory)
        guard case .accepted = cache.complete(digest) else {
            Issue.record("the bundle was not accepted")
            return
        }
        #expect(cache.isPresent(digest))
        #expect(FileManager.default.contents(atPath: cache.path(digest)) == content)
    }

    @Test("A whole with another SHA-256 is not accepted, and cleared parts are lacking again")
    func wrong() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let store = try store()
        for index in 0..<3 { try store.write(index == 1 ? Data(count: 1_000) : part(index), index: index) }
        let cache = BundleCache(directory: directory)
        guard case .wrong(let found) = cache.complete(digest) else {
            Issue.record("a wrong bundle was accepted")
            return
        }
        #expect(found != digest && !cache.isPresent(digest))
        try store.clear()
        #expect(try self.store().have.isEmpty)
    }

    @Test(
        "Refuses parts of another length or place, and sizes that do not fit",
        arguments: [(3, 500), (2, 1_000), (-1, 1_000), (0, 0)])
    func refuses(index: Int, length: Int) throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let store = try store()
        #expect(throws: AgentError.self) { try store.write(Data(count: length), index: index) }
        #expect(store.have.isEmpty)
    }

    @Test(
        "Refuses a size that does not fit its parts",
        arguments: [(0, 1_000, 0), (2_500, 1_000, 2), (2_500, 0, 3), (2_500, 2 << 20, 1), (.max, 1, .max)])
    func sizes(size: Int, partSize: Int, count: Int) {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        #expect(throws: AgentError.self) {
            _ = try PartStore(digest: digest, size: size, partSize: partSize, count: count, in: directory)
        }
    }

    @Test("A record that is damaged or of other parts counts for nothing")
    func damaged() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try store().write(part(0), index: 0)
        let record = PartStore.record(digest, in: directory)
        try Data("2500 500 5\n11111".utf8).write(to: URL(fileURLWithPath: record))
        #expect(try store().have.isEmpty)
        try Data("2500 1000 3\n1".utf8).write(to: URL(fileURLWithPath: record))
        #expect(try store().have.isEmpty)
    }
}
