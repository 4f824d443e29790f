import Foundation
import FuzzEntries
import TestSupport
import Testing

/// What fuzzing found once stays found: every file of the corpus goes through its target in every test run.
@Suite("What strangers may send") struct FuzzCorpusTests {
    @Test(
        "Every sample keeps the promises, and at least one is taken for what it is", .timeLimit(.minutes(2)),
        arguments: FuzzTarget.allCases)
    func replays(target: FuzzTarget) throws {
        var taken = 0
        for sample in try Corpus.samples(of: target) {
            do {
                if try target.run(sample.bytes) { taken += 1 }
            } catch {
                Issue.record("\(target.rawValue)/\(sample.name): \(error)")
            }
        }
        #expect(taken > 0, "no sample of \(target.rawValue) is taken: is the corpus still what goes over the wire?")
    }

    @Test("Changed samples keep the promises", .timeLimit(.minutes(2)), arguments: FuzzTarget.allCases)
    func survivesChanges(target: FuzzTarget) throws {
        let samples = try Corpus.samples(of: target).map(\.bytes)
        var mutator = Mutator(seed: 20_261_123, samples: samples)
        for round in 0..<400 {
            let bytes = mutator.next()
            do {
                try target.run(bytes)
            } catch {
                Issue.record("\(target.rawValue), change \(round): \(error)\n\(Data(bytes).base64EncodedString())")
                return
            }
        }
    }

    @Test(
        "JSON as deep as a message is long is refused, and takes no more stack than there is",
        arguments: FuzzTarget.allCases)
    func depth(target: FuzzTarget) throws {
        for piece in ["[", "{\"a\":", "{\"v\":[", "{\"software\":{\"name\":"] {
            for size in [4_000, 60_000, 250_000] {
                let open = String(repeating: piece, count: size / piece.utf8.count)
                let isTaken = try target.run(Array(open.utf8))
                // With the tail that sealed messages are cut at.
                let tail = ",\"enc\":\"AAAA\",\"sealed\":\"AAAA\"}"
                let isTakenWithTail = try target.run(Array((open + tail).utf8))
                #expect(!isTaken && !isTakenWithTail)
            }
        }
    }

    @Test("Every directory of the corpus has a target")
    func corpusIsUsed() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Corpus.directory.path)
        #expect(Set(names) == Set(FuzzTarget.allCases.map(\.rawValue)))
    }
}

enum Corpus {
    static let directory = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Fuzz/corpus").resolvingSymlinksInPath()

    static func samples(of target: FuzzTarget) throws -> [(name: String, bytes: [UInt8])] {
        let home = directory.appending(path: target.rawValue)
        return try FileManager.default.contentsOfDirectory(atPath: home.path).sorted().map { name in
            (name, [UInt8](try Data(contentsOf: home.appending(path: name))))
        }
    }
}
