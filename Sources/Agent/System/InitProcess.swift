import FoundationEssentials
import Glibc
import OperatingSystem

/// Process 1 of a container: starts the agent as its child, hands signals on to it, and reaps what is left to it.
///
/// Apart from the agent, so that reaping everybody's children never takes one away from whoever waits for it there, and so that an
/// agent that crashes does not end the container and its calls: the next one takes the software over. A container that is asked to
/// end takes everything with it, so the agent stops the software gracefully then.
enum InitProcess {
    private static let firstPause = 1
    private static let longestPause = 30

    /// Returns the exit status, which is the agent's.
    static func main(_ arguments: [String]) -> Int32 {
        ControlGroup.enterSubgroup(making: true)
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2] { sigaddset(&signals, number) }
        // Waited for, one after the other; nothing runs in a signal handler.
        sigprocmask(SIG_BLOCK, &signals, nil)
        var pause = firstPause
        while true {
            guard let agent = start(arguments) else { return 1 }
            let (status, wasAsked) = attend(agent, signals)
            let signal = status & 0x7f
            guard signal != 0 else { return (status >> 8) & 0xff }
            StandardError.print("trunkline-agent: the agent was ended by signal \(signal)")
            guard !wasAsked, !isAskedToEnd(signals, within: pause) else { return 128 + signal }
            pause = min(pause * 2, longestPause)
        }
    }

    private static func start(_ arguments: [String]) -> pid_t? {
        do throws(SystemError) {
            return try DetachedProcess.spawn(
                "/proc/self/exe", arguments: ["trunkline-agent"] + arguments + ["--stop-software"],
                environment: EnvironmentVariable.given, files: [.inherited(0), .inherited(1), .inherited(2)])
        } catch {
            StandardError.print("trunkline-agent: \(error)")
            return nil
        }
    }

    /// Until the agent has ended: how it did, and whether somebody asked for it.
    private static func attend(_ agent: pid_t, _ signals: sigset_t) -> (status: Int32, wasAsked: Bool) {
        var signals = signals
        var wasAsked = false
        while true {
            var number: Int32 = 0
            guard sigwait(&signals, &number) == 0 else { continue }
            guard number == SIGCHLD else {
                wasAsked = wasAsked || number != SIGUSR1 && number != SIGUSR2
                kill(agent, number)
                continue
            }
            if let status = reap(agent) { return (status, wasAsked) }
        }
    }

    /// Everybody's who has ended; the agent's status if it was among them.
    private static func reap(_ agent: pid_t?) -> Int32? {
        var found: Int32?
        while true {
            var status: Int32 = 0
            let process = waitpid(-1, &status, WNOHANG)
            guard process > 0 else { return found }
            if process == agent { found = status }
        }
    }

    /// Waits before the agent is started again.
    private static func isAskedToEnd(_ signals: sigset_t, within seconds: Int) -> Bool {
        var signals = signals
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let end = time.tv_sec + seconds
        while time.tv_sec < end {
            var rest = timespec(tv_sec: end - time.tv_sec, tv_nsec: 0)
            let number = sigtimedwait(&signals, nil, &rest)
            if number == SIGCHLD { _ = reap(nil) }
            if [SIGTERM, SIGINT, SIGHUP, SIGQUIT].contains(number) { return true }
            clock_gettime(CLOCK_MONOTONIC, &time)
        }
        return false
    }
}
