import Dispatch
import Fleet
import FoundationEssentials
import Glibc
import Synchronization

/// Runs a health check or a metrics probe: a short program in a session of its own, which is killed whole when its time is up.
enum Check {
    struct Result: Hashable, Sendable {
        /// Nil: exit status 0 in time.
        var failure: String?
        /// Standard output, at most `longestOutput` bytes.
        var output: String
    }

    static let longestOutput = 64 << 10

    static func run(
        _ command: [String], timeout: TimeSpan, in directory: String, environment: [String: String], output: String
    ) async -> Result {
        let name = command.joined(separator: " ")
        let errors = output + ".err"
        unlink(output)
        unlink(errors)
        defer {
            unlink(output)
            unlink(errors)
        }
        let leader = Mutex<Int32?>(nil)
        let timedOut = Mutex(false)
        let ending: SoftwareProcess.Ending
        do throws(AgentError) {
            ending = try await SoftwareProcess.run(
                command, in: directory, environment: environment, standardOutput: output, standardError: errors
            ) { pid in
                leader.withLock { $0 = pid }
                let process = ProcessIdentity(pid: pid)
                AgentQueues.timers.asyncAfter(deadline: .now() + .milliseconds(Int(timeout.milliseconds))) {
                    guard let process, process.isAlive else { return }
                    timedOut.withLock { $0 = true }
                    ProcessSession.signal(pid, SIGKILL)
                }
            }
        } catch {
            return Result(failure: error.message, output: "")
        }
        if let pid = leader.withLock({ $0 }) { await ProcessSession.sweep(pid) }
        let text = beginning(of: output)
        guard !timedOut.withLock({ $0 }) else {
            return Result(failure: "\(name) took longer than \(timeout)", output: text)
        }
        guard ending != .exited(0) else { return Result(failure: nil, output: text) }
        let said = [beginning(of: errors), text].lazy.compactMap { $0.split(separator: "\n").last }.first
        let words = said.map { ": " + $0.prefix(200) } ?? ""
        return Result(failure: "\(name) \(ending)\(words)", output: text)
    }

    private static func beginning(of path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: longestOutput)
        let count = read(descriptor, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }

    static let mostMetrics = 64

    /// Reads `name number` lines; others are left out.
    static func metrics(from text: String) -> [String: Double] {
        var metrics: [String: Double] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(whereSeparator: \.isWhitespace)
            guard words.count == 2, words[0].utf8.count <= 64, words[0].utf8.allSatisfy(isNameByte),
                let value = Double(words[1]), value.isFinite, metrics.count < mostMetrics
            else { continue }
            metrics[String(words[0])] = value
        }
        return metrics
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        (byte >= 97 && byte <= 122) || (byte >= 48 && byte <= 57) || "_.-".utf8.contains(byte)
    }
}
