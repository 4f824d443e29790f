import Fleet
import Foundation
import Sealing
import Testing

@testable import Agent

@Suite("What an agent hashes of a delivery")
struct HashingTests {
    @Test("Each byte of the bundle once, and each of its files once, from the first part to the release")
    func once() async throws {
        // In a process of its own, where nobody else hashes.
        await #expect(processExitsWith: .success) {
            let place = try BundleStreamTests.Place()
            let bundle = try SampleBundle(padding: 300_000)
            let seal = PartSeal(key: bundle.contentKey, digest: bundle.digest, count: bundle.count)
            let parts = try (0..<bundle.count).map { try bundle.part($0) }
            let before = BundleDigest.hashed
            let store = try place.store(bundle)
            let stream = try place.stream(store)
            for (index, part) in parts.enumerated() {
                try store.write(try seal.open(part, index: index), index: index)
                stream.advance(to: store.have, of: store)
            }
            guard case .accepted = try await place.ended() else { throw AgentError(.bundle, "it was not accepted") }
            let hashed = BundleDigest.hashed - before
            let files = ReleaseContent.read(place.releases.path(bundle.digest)).files.map(\.size).reduce(0, +)
            #expect(hashed == bundle.content.count + files, "\(hashed), not \(bundle.content.count) and \(files)")
        }
    }
}
