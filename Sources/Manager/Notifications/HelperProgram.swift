import Fleet
import Foundation
import OperatingSystem
import Subprocess
import SystemPackage

/// A program that is given something on its standard input, and has to end within its time.
struct HelperProgram: Hashable, Sendable {
    enum End: Hashable, Sendable {
        /// With this status, and what it last said on its standard error.
        case exited(Int, String)
        /// For people.
        case failed(String)
    }

    var path: String
    var arguments: [String] = []
    var timeout = TimeSpan.seconds(30)

    /// Bytes of what it says that are kept; the rest is thrown away.
    private static let mostWords = 300
    /// Between the request to end and the kill, of it and all that it started.
    private static let grace = Duration.seconds(2)

    /// - Parameter flag: of the command line, where the path came from.
    init(path: String, arguments: [String] = [], flag: String) throws {
        guard let status = FileStatus(following: path) else {
            throw StartError("\(flag): \(path) can't be found: \(String(cString: strerror(errno)))")
        }
        guard FileManager.default.isExecutableFile(atPath: path), status.kind == .file else {
            throw StartError("\(flag): \(path) is no program that can be run; is it executable?")
        }
        guard status.permissions & 0o022 == 0 else {
            throw StartError("\(flag): others may write to \(path), which runs as the manager: chmod go-w \(path)")
        }
        self.path = path
        self.arguments = arguments
    }

    /// Returns when it has ended; where its time is up, or the task is cancelled, it is ended with all that it started.
    func run(_ input: Data, _ variables: [String: String] = [:]) async -> End {
        await withTaskGroup(of: End.self) { group in
            group.addTask { await perform(input, variables) }
            group.addTask {
                try? await Task.sleep(for: timeout.duration)
                return .failed("it did not end within \(timeout)")
            }
            let end = await group.next()
            group.cancelAll()
            await group.waitForAll()
            return end ?? .failed("it was not started")
        }
    }

    private func perform(_ input: Data, _ variables: [String: String]) async -> End {
        var options = PlatformOptions()
        options.createSession = true
        options.teardownSequence = [
            .gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: Self.grace)
        ]
        var environment = Environment.inherit
        for (name, value) in variables {
            guard let key = Environment.Key(rawValue: name) else { continue }
            environment = environment.updating([key: value])
        }
        do {
            let result = try await Subprocess.run(
                .path(FilePath(path)), arguments: Arguments(arguments), environment: environment,
                platformOptions: options,
                input: .fileDescriptor(try Self.file(with: input), closeAfterSpawningProcess: true),
                output: .discarded, error: .sequence
            ) { execution in
                var words: [UInt8] = []
                for try await buffer in execution.standardError {
                    words += buffer.withUnsafeBytes { Array($0.prefix(Self.mostWords - words.count)) }
                }
                return String(decoding: words, as: UTF8.self).split(separator: "\n").joined(separator: " ")
                    .forPeople(atMost: Self.mostWords)
            }
            switch result.terminationStatus {
            case .exited(let code): return .exited(Int(code), result.closureResult)
            case .signaled(let signal): return .failed("signal \(signal) ended it")
            }
        } catch {
            return .failed("\(error)".forPeople(atMost: Self.mostWords))
        }
    }

    /// Rather than a pipe, which a program that reads nothing would break or fill.
    private static func file(with bytes: Data) throws -> FileDescriptor {
        let path = FileManager.default.temporaryDirectory.appending(path: "trunkline-\(UUID().uuidString)").path
        let file = try FileDescriptor.open(
            FilePath(path), .readWrite, options: [.create, .exclusiveCreate, .closeOnExec],
            permissions: [.ownerRead, .ownerWrite])
        do {
            unlink(path)
            try file.writeAll(bytes)
            try file.seek(offset: 0, from: .start)
            return file
        } catch {
            try? file.close()
            throw error
        }
    }
}
