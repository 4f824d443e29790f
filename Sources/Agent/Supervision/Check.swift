import Dispatch
import Fleet
import FoundationEssentials
import Glibc
import OperatingSystem
import Synchronization
import SystemPackage

/// Runs a health check, a metrics probe or a hook: a short program in a session of its own, which is killed whole when its time is up.
enum Check {
    enum Kind: String, Hashable, Sendable {
        case health = "health check"
        case metrics = "metrics probe"
        case drain = "drain hook"
        case undrain = "undrain hook"

        /// In its environment, so that one that outlives its agent is never taken for the software.
        var word: String {
            switch self {
            case .health: "health"
            case .metrics: "metrics"
            case .drain: "drain"
            case .undrain: "undrain"
            }
        }
    }

    struct Result: Hashable, Sendable {
        /// Which check failed and how it ended, never what it wrote; nil: exit status 0 in time.
        var failure: String?
        /// The beginning of what it wrote to its standard output and error.
        var output = ""
        var errors = ""
        /// Bytes that were too many.
        var passedOver = 0
    }

    static func run(
        _ kind: Kind, _ command: [String], timeout: TimeSpan, in directory: String, environment: [String: String],
        as user: uid_t?, capabilities: [String], group: ControlGroup?, limits: [ResourceLimit]
    ) async -> Result {
        let name = "\(kind.rawValue) \(command.joined(separator: " ").forPeople(atMost: 120))"
        let leader = Mutex<Int32?>(nil)
        let timedOut = Mutex(false)
        let ending: SoftwareProcess.Ending
        let (output, errors): (CheckOutput, CheckOutput)
        do throws(AgentError) {
            (output, errors) = try outputs()
        } catch {
            return Result(failure: "\(name): \(error.message)")
        }
        do throws(AgentError) {
            ending = try await SoftwareProcess.run(
                command, in: directory, environment: environment, as: user, capabilities: capabilities,
                group: group, limits: limits, standardOutput: output.writing, standardError: errors.writing
            ) { pid in
                leader.withLock { $0 = pid }
                let process = ProcessIdentity(pid: pid)
                AgentQueues.timers.asyncAfter(deadline: .now() + .milliseconds(Int(timeout.milliseconds))) {
                    guard let process, process.isAlive else { return }
                    timedOut.withLock { $0 = true }
                    if let group { group.kill() } else { ProcessSession.signal(pid, SIGKILL) }
                }
            }
        } catch {
            _ = await (output.finish(), errors.finish())
            return Result(failure: "\(name): \(error.message)")
        }
        if let group {
            await ProcessSession.end(group)
        } else if let pid = leader.withLock({ $0 }) {
            await ProcessSession.sweep(pid)
        }
        let (said, saidWrong) = (await output.finish(), await errors.finish())
        return Result(
            failure: timedOut.withLock { $0 }
                ? "\(name) took longer than \(timeout)" : ending == .exited(0) ? nil : "\(name) \(ending)",
            output: said.text, errors: saidWrong.text, passedOver: said.passedOver + saidWrong.passedOver)
    }

    private static func outputs() throws(AgentError) -> (CheckOutput, CheckOutput) {
        let output = try CheckOutput()
        do throws(AgentError) { return (output, try CheckOutput()) } catch {
            try? output.writing.close()
            throw error
        }
    }

    static let mostMetrics = 64

    /// Reads `name number` lines; others are passed over. What is beyond the most that are reported is counted.
    static func metrics(from text: String) -> (metrics: [String: Double], leftOut: Int) {
        var metrics: [String: Double] = [:]
        var leftOut: Set<Substring> = []
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(whereSeparator: \.isWhitespace)
            guard words.count == 2, words[0].utf8.count <= 64, words[0].utf8.allSatisfy(isNameByte),
                let value = Double(words[1]), value.isFinite
            else { continue }
            guard metrics.count < mostMetrics || metrics[String(words[0])] != nil else {
                leftOut.insert(words[0])
                continue
            }
            metrics[String(words[0])] = value
        }
        return (metrics, leftOut.count)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        (byte >= 97 && byte <= 122) || (byte >= 48 && byte <= 57) || "_.-".utf8.contains(byte)
    }
}

/// What of the checks' output stands in the machine's log: that of those that fail, once for as long as it stays the same. Pure.
struct CheckLog: Sendable {
    static let mostLines = 20
    static let longestLine = 2048

    private var last: [Check.Kind: [String]] = [:]

    /// The lines to add, of which none is longer than `longestLine`.
    mutating func lines(_ kind: Check.Kind, _ result: Check.Result) -> [String] {
        guard let failure = result.failure else {
            last[kind] = nil
            return []
        }
        var said = [result.errors, result.output].flatMap { $0.split(whereSeparator: \.isNewline) }
        let leftOut = said.count - Self.mostLines
        if leftOut > 0 { said = said.suffix(Self.mostLines) }
        var lines = [failure]
        if result.passedOver > 0 { lines.append("(\(result.passedOver) bytes of its output were left out)") }
        if leftOut > 0 { lines.append("(\(leftOut) lines before these were left out)") }
        lines += said.map { String(decoding: $0.utf8.prefix(Self.longestLine), as: UTF8.self) }
        guard lines != last[kind] else { return [] }
        last[kind] = lines
        return lines
    }
}
