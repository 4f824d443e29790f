import Fleet
import Foundation
import Glibc
import Messaging
import Testing
import TestSupport

@Suite("What a machine cannot do it says")
struct UnableTests {
    @Test(
        "software that cannot be started says why, in words that help",
        arguments: [
            ("#!/bin/sh\r\nexec sleep 1000\r\n", "has lines that end with CR LF"),
            ("#!/no/such/python3\n", "needs the interpreter /no/such/python3, and it is not on this machine"),
            ("exec sleep 1000\n", "is neither a program nor a script"),
        ])
    func start(script: String, words: String) async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle(start: script)
            try await manager.order(bundle)
            let failed = try await manager.status("says why") { $0.reason?.contains(words) == true }
            #expect(failed.reason?.hasPrefix("cannot start ./start.sh: it ") == true)
            #expect(failed.software?.health != .passing)
            try await manager.status("failed") { $0.state == .failed }
        }
    }

    @Test("a program that is not executable, or not there, is named", arguments: ["./version", "./none"])
    func notAProgram(program: String) async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle(run: [program])
            try await manager.order(bundle)
            let words = program == "./none" ? "it is not there" : "it is not executable (chmod +x)"
            try await manager.status("says why") { $0.reason?.contains("cannot start \(program): \(words)") == true }
        }
    }

    @Test("directories that are gone are made where they are needed")
    func directories() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let (old, new) = (try SampleBundle(version: "1"), try SampleBundle(version: "2"))
            try await manager.order(old)
            try await manager.running(old, generation: 1)
            for name in ["bundles", "releases", "log", "data", "run"] {
                try? FileManager.default.removeItem(atPath: agent.path(name))
            }
            try await manager.order(new, generation: 2)
            let status = try await manager.running(new, generation: 2)
            #expect(status.software?.restarts == 0)
            _ = try await agent.softwarePID()
        }
    }
}
