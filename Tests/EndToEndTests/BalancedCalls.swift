import Client
import Fleet
import Foundation
import TestSupport

/// `Config/traffic/balanced`, until it is asked to end.
final class BalancedCalls: Sendable {
    private let process: Process
    private let output: String

    init(_ installation: Installation, machines: Int) throws {
        output = installation.directory.appending(path: "balanced.out").path
        _ = FileManager.default.createFile(atPath: output, contents: nil)
        process = Process()
        process.executableURL = Installation.home.appending(path: "Config/traffic/balanced")
        process.arguments =
            ["127.0.0.1"] + (0..<machines).map { "\(installation.basePort + $0)" }
            + ["--rate", "4", "--hold-ms", "4000", "--patience", "40"]
        process.standardInput = FileHandle.nullDevice
        let handle = try FileHandle(forWritingTo: URL(filePath: output))
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
    }

    private var said: String { (try? String(contentsOfFile: output, encoding: .utf8)) ?? "" }

    func areUp() async throws {
        let isCalling = try await eventually(within: .seconds(60)) {
            guard self.process.isRunning else { throw Unexpected("no calls: \(self.said)") }
            return self.said.contains("calling")
        }
        guard isCalling else { throw Unexpected("no calls: \(said)") }
    }

    /// Lets the calls that are up come to their end.
    func ended() async throws -> String {
        process.terminate()
        let isOver = try await eventually(within: .seconds(90)) { !self.process.isRunning }
        guard isOver else { throw Unexpected("the calls do not end: \(said)") }
        return said
    }

    func kill() { if process.isRunning { process.terminate() } }
}

extension Installation {
    /// Pushes the sample with another version.
    func pushNext(
        _ version: String, of name: String = "kamailio", _ client: TrunklineClient,
        changed: (URL) throws -> Void = { _ in }
    ) async throws {
        let copy = directory.appending(path: "\(name)-\(version)")
        try FileManager.default.copyItem(at: Self.home.appending(path: "Config/software/\(name)"), to: copy)
        let manifest = copy.appending(path: SoftwareManifest.fileName)
        try String(contentsOf: manifest, encoding: .utf8).replacing(
            /version = "[^"]*"/, with: "version = \"\(version)\""
        )
        .write(to: manifest, atomically: true, encoding: .utf8)
        try changed(copy)
        try await push(directory: copy, client)
    }
}
