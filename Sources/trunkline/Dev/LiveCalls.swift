import Foundation
import Subprocess
import SystemPackage

/// `Config/traffic/balanced`: real calls over several machines, new ones all the time, while something else is done.
struct LiveCalls: Sendable {
    let home: String
    let ports: [Int]

    /// Returns what it says at its end, in one JSON line: of the calls that it began, how many were good.
    func run(_ body: () async throws -> Void) async throws -> String {
        let log = FileManager.default.temporaryDirectory.appendingPathComponent("trunkline-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: log) }
        let output = try FileDescriptor.open(
            FilePath(log), .writeOnly, options: [.create, .append], permissions: [.ownerReadWrite])
        func said() -> String { String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self) }
        var options = PlatformOptions()
        options.createSession = true
        options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(5))]
        let result = try await Subprocess.run(
            .path(FilePath("\(home)/Config/traffic/balanced")),
            arguments: Arguments(
                ["127.0.0.1"] + ports.map(String.init) + ["--rate", "4", "--hold-ms", "3000", "--patience", "40"]),
            platformOptions: options, input: .none,
            output: .fileDescriptor(output, closeAfterSpawningProcess: false),
            error: .fileDescriptor(output, closeAfterSpawningProcess: true)
        ) { execution in
            // Those that are up come to their end, whatever became of the change.
            defer { try? execution.send(signal: .terminate) }
            for _ in 0..<300 where !said().contains("calling") { try await Task.sleep(for: .milliseconds(50)) }
            try await body()
        }
        let last = said().split(separator: "\n").last.map(String.init) ?? ""
        guard result.terminationStatus.isSuccess else {
            throw Failure("the calls ended with \(result.terminationStatus): \(last)")
        }
        return last
    }
}
