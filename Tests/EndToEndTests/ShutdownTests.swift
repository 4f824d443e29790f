import Client
import Fleet
import Foundation
import Glibc
import TestSupport
import Testing

@Suite("The manager's end")
struct ShutdownTests {
    @Test(
        "In the middle of a removal, with readers of events, it takes as long as the software needs, and warns of nothing untrue"
    )
    func duringRemoval() async throws {
        try await Installation.with { installation, client in
            // In a directory that software with a user of its own may write to.
            let marks = installation.directory.appending(path: "marks").path
            try FileManager.default.createDirectory(
                atPath: marks, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o777])
            #expect(chmod(marks, 0o777) == 0)
            let mark = marks + "/stopping"
            // Needs two seconds of its ten to stop.
            let script = """
                #!/bin/sh
                touch "$TRUNKLINE_RUN/well"
                trap 'touch "$MARK"; sleep 2; exit 0' TERM
                while :; do sleep 1 & wait $!; done
                """
            var files = Installation.script("slow", start: script)
            files["software.trunk"] = files["software.trunk"]?.replacing("timeout = 3s", with: "timeout = 10s")
            try await installation.push(files: files, client)
            _ = try await client.createGroup(
                Installation.record(software: "slow@1", environment: "MARK = \"\(mark)\""))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            let machine = try #require(try await client.allMachines(group: "test").first)
            let reader = Task {
                var count = 0
                for try await _ in client.eventStream(group: nil, machine: nil, after: 0) { count += 1 }
                return count
            }
            try await client.removeGroup("test", force: true)
            #expect(try await eventually { FileManager.default.fileExists(atPath: mark) })
            #expect(try await installation.endManager() == 0)
            #expect(!FileManager.default.fileExists(atPath: "\(installation.data)/machines/\(machine.id)"))
            #expect(Processes.software(of: machine.id, in: installation).isEmpty)
            let log = try String(contentsOf: installation.directory.appending(path: "manager.log"), encoding: .utf8)
            #expect(!log.contains("did not stop in time"), "\(log)")
            reader.cancel()
            _ = try? await reader.value
        }
    }
}
