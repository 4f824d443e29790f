import Fleet
import Foundation
import Glibc
import OperatingSystem
import Sealing
import Synchronization
import Testing
import TestSupport

@testable import Agent

@Suite("Unpacking while it is received")
struct BundleStreamTests {
    /// The directories of one agent, and what became of one bundle in them.
    final class Place: Sendable {
        let path: String
        let bundles: BundleCache
        let releases: ReleaseStore
        let outcome = Mutex<[BundleCache.Completion]>([])

        init() throws {
            path = FileManager.default.temporaryDirectory.appending(path: "stream-\(UUID().uuidString)").path
            bundles = BundleCache(directory: path + "/bundles")
            releases = ReleaseStore(
                directory: path + "/releases", bundles: bundles, seal: try StateSeal(of: SecurityKey()))
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        func store(_ bundle: SampleBundle) throws -> PartStore {
            try PartStore(
                digest: bundle.digest, size: bundle.content.count, partSize: bundle.partSize, count: bundle.count,
                in: bundles.directory)
        }

        func stream(_ store: PartStore) throws -> BundleStream {
            try BundleStream(1, store, have: store.have, releases: releases) { [weak self] _, completion in
                self?.outcome.withLock { $0.append(completion) }
            }
        }

        func ended() async throws -> BundleCache.Completion {
            #expect(try await eventually(within: .seconds(40)) { self.outcome.withLock { !$0.isEmpty } })
            return try #require(outcome.withLock { $0.first })
        }

        var left: [String] { DirectoryTree.names(in: releases.directory).sorted() }
    }

    /// Hands over these parts, one after the other.
    private func hand(_ indices: [Int], of bundle: SampleBundle, to store: PartStore, _ stream: BundleStream) throws {
        for index in indices {
            let start = index * bundle.partSize
            try store.write(
                Data(bundle.content[start..<min(bundle.content.count, start + bundle.partSize)]), index: index)
            stream.advance(to: store.have, of: store)
        }
    }

    @Test("Parts in any order make bundle and release, listed as whoever reads the release would list it")
    func anyOrder() async throws {
        let place = try Place()
        let links = place.path + "/links"
        try FileManager.default.createDirectory(atPath: links, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(atPath: links + "/link", withDestinationPath: "../version")
        let bundle = try SampleBundle(padding: 100_000, including: URL(filePath: links))
        let store = try place.store(bundle)
        let stream = try place.stream(store)
        var generator = SeededGenerator(seed: 7)
        try hand((0..<bundle.count).shuffled(using: &generator), of: bundle, to: store, stream)
        guard case .accepted = try await place.ended() else {
            Issue.record("\(place.outcome.withLock { $0 })")
            return
        }
        #expect(place.bundles.isPresent(bundle.digest))
        #expect(place.left == [bundle.digest, bundle.digest + ".json"])
        let difference = place.releases.difference(bundle.digest)
        #expect(difference == ReleaseDifference())
        #expect(ReleaseContent.read(place.releases.path(bundle.digest)).files.contains { $0.path == "links/link" })
    }

    @Test(
        "Another SHA-256 than was ordered, a bundle that is none, and a stream that is given up leave nothing but parts"
    )
    func nothingStays() async throws {
        var wrong = try SampleBundle(padding: 20_000)
        wrong.digest = BundleDigest.hex(of: Data("another".utf8))
        var damaged = try SampleBundle(padding: 20_000)
        damaged.content[damaged.content.count / 2] ^= 1
        damaged.digest = BundleDigest.hex(of: damaged.content)
        for (bundle, isWrong) in [(wrong, true), (damaged, false)] {
            let place = try Place()
            let store = try place.store(bundle)
            let stream = try place.stream(store)
            try hand(Array(0..<bundle.count), of: bundle, to: store, stream)
            switch try await place.ended() {
            case .wrong(let found): #expect(isWrong && found == BundleDigest.hex(of: bundle.content))
            case .failed: #expect(!isWrong)
            case .accepted: Issue.record("\(isWrong ? "another digest" : "damage") was accepted")
            }
            #expect(place.left == [] && !place.bundles.isPresent(bundle.digest))
            withExtendedLifetime(stream) {}
        }

        let place = try Place()
        let bundle = try SampleBundle(padding: 200_000)
        let store = try place.store(bundle)
        var stream: BundleStream? = try place.stream(store)
        try hand(Array(0..<(bundle.count - 1)), of: bundle, to: store, try #require(stream))
        #expect(try await eventually { place.left == ["new-" + bundle.digest] })
        stream = nil
        #expect(try await eventually { place.left == [] })
        #expect(place.outcome.withLock { $0.isEmpty })
        #expect(store.have.count == bundle.count - 1)
    }

    @Test("What was broken off is unpacked anew from the parts that were kept")
    func again() async throws {
        let place = try Place()
        let bundle = try SampleBundle(padding: 50_000)
        let store = try place.store(bundle)
        var stream: BundleStream? = try place.stream(store)
        try hand(Array(0..<10), of: bundle, to: store, try #require(stream))
        stream = nil
        // As an agent leaves it that is killed.
        let left = place.releases.directory + "/new-" + bundle.digest
        #expect(try await eventually { place.left == [] })
        try FileManager.default.createDirectory(atPath: left + "/deep", withIntermediateDirectories: true)
        try Data("left".utf8).write(to: URL(filePath: left + "/deep/file"))
        let second = try place.store(bundle)
        stream = try place.stream(second)
        try hand(Array(10..<bundle.count), of: bundle, to: second, try #require(stream))
        guard case .accepted = try await place.ended() else {
            Issue.record("\(place.outcome.withLock { $0 })")
            return
        }
        #expect(place.left == [bundle.digest, bundle.digest + ".json"])
        #expect(place.releases.difference(bundle.digest) == ReleaseDifference())
    }

    @Test(
        "A disk that becomes full in the middle leaves the parts and nothing else, and with room it goes on from them",
        .enabled(if: getuid() == 0, "only root may mount"))
    func fullDisk() async throws {
        let place = try Place()
        func run(_ words: String...) throws -> Bool {
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.arguments = words
            try process.run()
            process.waitUntilExit()
            return process.terminationStatus == 0
        }
        try FileManager.default.createDirectory(
            atPath: place.releases.directory, withIntermediateDirectories: true)
        try #require(try run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place.releases.directory))
        defer { #expect((try? run("umount", "-l", place.releases.directory)) == true) }
        let bundle = try SampleBundle(more: ["large": String(repeating: "much room for little ", count: 200_000)])
        let store = try place.store(bundle)
        let stream = try place.stream(store)
        try hand(Array(0..<bundle.count), of: bundle, to: store, stream)
        guard case .failed(let error) = try await place.ended() else {
            Issue.record("\(place.outcome.withLock { $0 })")
            return
        }
        #expect(error.message.contains("No space left"), "\(error)")
        #expect(place.left == [] && store.have.count == bundle.count)
        try #require(try run("mount", "-o", "remount,size=16m", place.releases.directory))
        guard case .accepted = place.bundles.complete(bundle.digest) else {
            Issue.record("the parts are not the bundle")
            return
        }
        try place.releases.prepare(bundle.digest)
        #expect(place.left == [bundle.digest, bundle.digest + ".json"])
    }

    @Test("Of what was just unpacked nothing is read again, once, but what somebody has touched or may have")
    func readOnce() async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "stamp-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        for name in ["a", "b", "c"] { try Data(name.utf8).write(to: URL(filePath: directory + "/" + name)) }
        // A list that says something else of a file shows whether it was read.
        var content = ReleaseContent.read(directory)
        for index in 0..<2 { content.files[index].digest = String(repeating: "0", count: 64) }
        let changed = try #require(FileStatus(of: directory + "/a")).changed
        let written = changed.seconds * 1000 + changed.nanoseconds / 1_000_000
        // In the clock's same tick another may write and leave the same times.
        let early = ReleaseStamp(of: directory, at: written + 5)
        #expect(content.difference(in: directory, known: early).changed == ["a", "b"])
        let settled = ReleaseStamp(of: directory, at: written + 1000)
        #expect(content.difference(in: directory, known: settled).changed.isEmpty)
        // The same bytes, and the old times as far as anybody can set them.
        let status = try #require(FileStatus(of: directory + "/b"))
        try Data("b".utf8).write(to: URL(filePath: directory + "/b"), options: [])
        var times = [timespec(), timespec()]
        for index in 0..<2 {
            (times[index].tv_sec, times[index].tv_nsec) = (status.modified.seconds, status.modified.nanoseconds)
        }
        #expect(utimensat(AT_FDCWD, directory + "/b", &times, 0) == 0)
        #expect(content.difference(in: directory, known: settled).changed == ["b"])
        #expect(content.difference(in: directory).changed == ["a", "b"])
    }
}
