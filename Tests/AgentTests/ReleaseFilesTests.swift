import Fleet
import Foundation
import Glibc
import Sealing
import Testing
import TestSupport

@testable import Agent

@Suite("Software and the files of its release")
struct ReleaseFilesTests {
    /// A program of two files, whose second Python compiles into the release when the first imports it.
    static func python() throws -> SampleBundle {
        let main = """
            #!/usr/bin/python3
            import os, signal, sys, time
            sys.path.insert(0, os.environ["TRUNKLINE_RELEASE"] + "/lib")
            import part
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            for name in ("starts", ):
                with open(os.environ["TRUNKLINE_DATA"] + "/" + name, "a") as file: file.write("run\\n")
            open(os.environ["TRUNKLINE_RUN"] + "/well", "w").close()
            with open(os.environ["TRUNKLINE_RUN"] + "/pid", "w") as file: file.write(str(os.getpid()))
            while True: time.sleep(0.05)
            """
        return try SampleBundle(start: main, more: ["lib/part.py": "VALUE = 1"])
    }

    @Test("Python's compiled files are named, and lead to no restart and no other digest, over new orders and agents")
    func compiled() async throws {
        try await withMachine { manager, agent in
            try agent.start(agent.arguments + ["--isolation", "none"])
            let bundle = try Self.python()
            try await manager.order(bundle)
            let named = try await manager.status("names them") {
                $0.state == .running && $0.reason?.contains("lib/__pycache__/part.cpython") == true
            }
            #expect(named.reason?.hasPrefix("files were added to the release: lib/__pycache__/part.cpython-") == true)
            #expect(named.software?.digest == bundle.digest && named.software?.health == .passing)
            // The next order finds the release as it must be: what was added is still there when it starts.
            try await manager.order(bundle, generation: 2)
            try await manager.running(bundle, generation: 2)
            try await manager.status("names them again") {
                $0.order == 2 && $0.reason?.contains("lib/__pycache__/part.cpython") == true
            }
            try await agent.end(SIGKILL)
            agent.killSoftware()
            try agent.start(agent.arguments + ["--isolation", "none"])
            try await manager.status("after a boot") { $0.session > named.session && $0.state == .running }
            try await manager.status("with the same words") { $0.reason == named.reason && $0.order == 2 }
            #expect(manager.statuses.allSatisfy { $0.software.map { $0.digest == bundle.digest } ?? true })
            #expect(agent.lines("data/sample/starts").count == 3)
            #expect(manager.read { $0.sent.values.max() } == 1, "the bundle was delivered once")
        }
    }

    @Test("Files that software goes on adding are named once, and bounded")
    func many() async throws {
        try await withMachine { manager, agent in
            try agent.start(agent.arguments + ["--isolation", "none"])
            let start = SampleBundle.start.replacing(
                "while :; do sleep 1000 & wait $!; done",
                with:
                    "n=1000; while :; do n=$((n - 1)); echo > \"$(printf 'written-%s\\033[31m' $n)\"; sleep 0.02; done")
            let bundle = try SampleBundle(start: start)
            try await manager.order(bundle)
            let named = try await manager.status("named") { $0.reason?.contains("written-") == true }
            #expect(named.reason?.hasSuffix(" and others") == true && !(named.reason?.contains("\u{1b}") ?? true))
            #expect((named.reason?.utf8.count ?? 1000) < 300)
            let seen = manager.statuses.count
            // By now there are more, in front of those that were named, and more than one glance was taken.
            #expect(
                try await eventually(within: .seconds(40)) {
                    try FileManager.default.contentsOfDirectory(atPath: agent.path("releases/\(bundle.digest)")).count
                        > 300
                })
            #expect(manager.statuses[seen...].allSatisfy { $0.reason == named.reason && $0.state == .running })
        }
    }

    enum Change: CaseIterable {
        case changed, removed, mode

        var words: String {
            switch self {
            case .changed, .mode: "shipped files were changed: version"
            case .removed: "shipped files were removed: version"
            }
        }
    }

    @Test(
        "A shipped file that was changed or removed counts, is named, and comes back with the next order",
        arguments: Change.allCases)
    func shipped(change: Change) async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let file = agent.path("releases/\(bundle.digest)/version")
            switch change {
            case .changed: try Data("other".utf8).write(to: URL(filePath: file))
            case .removed: try FileManager.default.removeItem(atPath: file)
            case .mode: #expect(chmod(file, 0o777) == 0)
            }
            let status = try await manager.status("another release") {
                $0.software.map { $0.digest != bundle.digest } ?? false
            }
            #expect(status.reason == change.words && status.state == .running)
            try await manager.order(bundle, generation: 2)
            #expect(try await manager.running(bundle, generation: 2).reason == nil)
            #expect(try String(contentsOfFile: file, encoding: .utf8) == "1\n")
        }
    }

    enum Forgery: CaseIterable {
        /// As agents before wrote it, in the clear.
        case clear
        /// Sealed by another machine.
        case sealed
        /// Of another release of this machine.
        case exchanged
    }

    @Test(
        "A list of a release that its agent has not written counts for nothing: what was changed is found, and goes",
        arguments: Forgery.allCases)
    func forged(forgery: Forgery) async throws {
        try await withMachine { manager, agent in
            let arguments = agent.arguments + ["--isolation", "none"]
            try agent.start(arguments)
            let (other, bundle) = (try SampleBundle(version: "0"), try SampleBundle())
            try await manager.order(other)
            try await manager.running(other, generation: 1)
            try await manager.order(bundle, generation: 2)
            try await manager.running(bundle, generation: 2)
            try await agent.end(SIGTERM)
            let release = agent.path("releases/\(bundle.digest)")
            try Data("other".utf8).write(to: URL(filePath: release + "/version"))
            let list = try JSONEncoder().encode(ReleaseContent.read(release))
            let content =
                switch forgery {
                case .clear: list
                case .sealed:
                    try StateSeal(of: SecurityKey()).seal(list, for: "release \(bundle.digest)")
                case .exchanged: try Data(contentsOf: URL(filePath: agent.path("releases/\(other.digest).json")))
                }
            try content.write(to: URL(filePath: release + ".json"))
            try agent.start(arguments)
            try await manager.order(bundle, generation: 3)
            #expect(try await manager.running(bundle, generation: 3).reason == nil)
            #expect(try String(contentsOfFile: release + "/version", encoding: .utf8) == "1\n")
        }
    }

    @Test("What differs is found by reading, whatever the files are called")
    func difference() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "release-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        func write(_ name: String, _ text: String) throws {
            let file = directory.appending(path: name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        for name in ["a", "b/c", "d"] { try write(name, name) }
        let shipped = ReleaseContent.read(directory.path)
        #expect(shipped.difference(in: directory.path) == ReleaseDifference())
        for number in 0..<5 { try write("b/new\(number)\n", "x") }
        let added = shipped.difference(in: directory.path)
        #expect(added.added == ["b/new0\n", "b/new1\n", "b/new2\n"] && added.addedCount == 5 && added.digest == nil)
        #expect(added.words == #"files were added to the release: b/new0\n, b/new1\n, b/new2\n and others"#)
        try write("a", "b")
        try FileManager.default.removeItem(at: directory.appending(path: "b/c"))
        try FileManager.default.createDirectory(
            at: directory.appending(path: "b/c"), withIntermediateDirectories: false)
        let found = shipped.difference(in: directory.path)
        #expect(found.changed == ["a"] && found.removed == ["b/c"] && found.digest != nil)
        try FileManager.default.removeItem(at: directory)
        let gone = shipped.difference(in: directory.path)
        #expect(gone.removed == ["a", "b/c", "d"] && gone.digest != nil && gone.added.isEmpty)
    }
}
