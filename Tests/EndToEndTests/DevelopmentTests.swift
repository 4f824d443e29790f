import Foundation
import TestSupport
import Testing

@Suite("trunkline dev, which is make run", .serialized)
struct DevelopmentTests {
    /// One that was started in a directory of its own.
    private struct Running {
        var process: Process
        var data: URL
        var output: URL

        var text: String { (try? String(contentsOf: output, encoding: .utf8)) ?? "" }
    }

    private func start(_ arguments: [String] = []) throws -> Running {
        let data = FileManager.default.temporaryDirectory.appending(path: "dev-\(UUID().uuidString.prefix(8))")
        let output = FileManager.default.temporaryDirectory.appending(path: "dev-\(UUID().uuidString.prefix(8)).txt")
        _ = FileManager.default.createFile(atPath: output.path, contents: nil)
        let process = Process()
        process.executableURL = Installation.programs.appending(path: "trunkline")
        process.arguments = ["dev", "--home", Installation.home.path, "--data", data.path] + arguments
        let file = try FileHandle(forWritingTo: output)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = file
        process.standardError = file
        try process.run()
        return Running(process: process, data: data, output: output)
    }

    private func clean(_ running: Running) {
        if running.process.isRunning { kill(running.process.processIdentifier, SIGKILL) }
        for pid in Processes.mentioning(running.data.path) { kill(pid, SIGKILL) }
        try? FileManager.default.removeItem(at: running.data)
        try? FileManager.default.removeItem(at: running.output)
    }

    @Test("Two copies run side by side, and Ctrl-C ends every process that each of them started")
    func twoCopies() async throws {
        let copies = [try start(), try start()]
        defer { for copy in copies { clean(copy) } }
        for copy in copies {
            let converged = try await eventually(within: .seconds(60)) {
                copy.text.contains("group.converged") || copy.text.contains("verified")
            }
            #expect(converged, "\(copy.text)")
        }
        for copy in copies {
            kill(copy.process.processIdentifier, SIGINT)
            let ended = try await eventually(within: .seconds(40)) { !copy.process.isRunning }
            #expect(ended)
            #expect(copy.process.terminationStatus == 0, "\(copy.text)")
            #expect(Processes.mentioning(copy.data.path).isEmpty, "nothing is left behind")
        }
    }

    @Test("The demo places calls, changes what runs under them, switches, exchanges messages, and ends with 0")
    func demo() async throws {
        let demo = try start(["--demo", "--exit"])
        defer { clean(demo) }
        let ended = try await eventually(within: .seconds(240)) { !demo.process.isRunning }
        #expect(ended)
        #expect(demo.process.terminationStatus == 0, "\(demo.text)")
        #expect(demo.text.contains("\"failed\": 0"))
        #expect(demo.text.contains("\"lost\": 0"))
        #expect(demo.text.contains("canary   ✓") && demo.text.contains("wave 2   ✓✓"), "\(demo.text)")
        #expect(
            demo.text.contains("all run 5.6.4; 1 failed, more than max_failed (0); edge-1: kamailio@5.6.5 did not"),
            "\(demo.text)")
        #expect(Processes.mentioning(demo.data.path).isEmpty)
    }
}
