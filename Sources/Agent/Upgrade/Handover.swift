import Fleet
import Glibc
import Logging
import OperatingSystem

/// Gives a machine over to another agent, and takes it back if that one does not report within a minute.
///
/// The next agent is tried as a child of this one, which has let go of the state directory and the broker and does nothing but wait. Once it
/// has reported it ends, and this process becomes it: the same pid for whoever watches it, and the software never notices.
struct Handover {
    enum Successor: Sendable {
        case delivered(AgentStore.Delivered)
        /// No order asks for another one any more.
        case installed
    }

    /// A hidden argument of the agent that is tried, with the number of a pipe on which it says that it has reported.
    static let argument = "--on-trial"
    static let patience = TimeSpan.seconds(60)
    private static let parting = TimeSpan.seconds(20)
    /// The last status before says that the next one may take this long: nobody is away because another agent is tried.
    static let silence = patience + parting + .seconds(10)

    let successor: Successor
    let store: AgentStore
    let logger: Logger
    let service: ServiceManager
    /// Whether this agent is asked to end: then the trial ends with it.
    let isAskedToEnd: @Sendable () -> Bool

    private var program: String {
        switch successor {
        case .delivered(let delivered): store.program(delivered.digest)
        case .installed: store.record.installed
        }
    }

    private var name: String {
        switch successor {
        case .delivered(let delivered): "the agent \(delivered.version)"
        case .installed: "the installed agent"
        }
    }

    /// Returns where this agent is asked to end meanwhile, or no agent can be started at all.
    ///
    /// - Returns: whether it was asked to end.
    func run() -> Bool {
        let arguments = Array(CommandLine.arguments.dropFirst())
        store.state.letGo()
        let fault = trial(arguments)
        if isAskedToEnd() {
            logger.notice("asked to end: \(name) ends too")
            return true
        }
        var record = store.record
        if let fault {
            logger.error("\(name) is taken back: \(fault)")
            if case .delivered(let delivered) = successor {
                record.failure = store.failure(of: delivered, fault, after: record.failure, now: SystemClock.now)
            }
        } else {
            if case .delivered(let delivered) = successor { record.inForce = delivered } else { record.inForce = nil }
            record.failure = nil
            record.starts = 0
        }
        do throws(AgentError) { try store.save(record) } catch {
            logger.error("which agent is in force cannot be kept: \(error.message)")
        }
        if fault == nil { Spawned.become(program, arguments: arguments) }
        Spawned.become("/proc/self/exe", arguments: arguments)
        logger.critical("no agent can be started: \(systemMessage(errno))")
        return false
    }

    /// Why the successor was no good; nil: it has reported.
    private func trial(_ arguments: [String]) -> String? {
        var ends: [Int32] = [-1, -1]
        guard Spawned.pipe(&ends) else { return "no pipe can be made: \(systemMessage(errno))" }
        defer { close(ends[0]) }
        let started = Spawned.start(program, arguments + [Self.argument, "\(ends[1])"], keeping: ends[1])
        close(ends[1])
        guard let pid = started else { return "it cannot be started" }
        let end = SystemClock.uptime + Self.patience
        var word: UInt8 = 0
        var isSpeaking = false
        while !isSpeaking, !isAskedToEnd(), SystemClock.uptime < end {
            // This process is the one that is watched.
            service.say("WATCHDOG=1")
            isSpeaking = Spawned.isReadable(ends[0], until: min(end, SystemClock.uptime + .milliseconds(250)))
        }
        let hasSpoken = isSpeaking && read(ends[0], &word, 1) == 1
        guard hasSpoken else {
            let isLate = SystemClock.uptime >= end || isAskedToEnd()
            // One that let go of the pipe is ending, or is no agent.
            let status = Spawned.ended(pid, until: SystemClock.uptime + (isLate ? .zero : .seconds(2)))
            return isLate
                ? "it did not report within \(Self.patience)"
                : "it ended\(status.map { " with status \($0)" } ?? "") before it had reported"
        }
        logger.notice("\(name) has reported")
        kill(pid, SIGTERM)
        _ = Spawned.ended(pid, until: SystemClock.uptime + Self.parting)
        return nil
    }
}
