import Glibc
import Logging
import OperatingSystem

/// The command line of `trunkline-agent`.
struct AgentArguments: Equatable {
    /// Nil: the state directory is of a machine that has one already.
    var ticket: String?
    var state: String
    var logLevel: Logger.Level = .info
    /// Whether a ticket may lead to a broker without TLS.
    var insecure = false
    /// Whether a registered machine takes another ticket.
    var rejoins = false
    /// Of an agent that is tried by the one before: the pipe on which it says that it has reported.
    var trial: Int32?
    /// Whether the software ends with the agent.
    var stopsSoftware = false
    var isolation = IsolationWish.auto
    /// Of them each machine gets one for its software.
    var users = SoftwareUsers.standardRange

    enum Parsed: Equatable {
        case run(AgentArguments)
        /// The state directory of a machine that is gone.
        case forget(String)
        case help
        case version
        case wrong(String)
    }

    static let usage =
        """
        usage: trunkline-agent [--ticket FILE] --state DIR [--log-level LEVEL] [--stop-software] [--insecure] [--rejoin]
               [--isolation auto|user|none] [--software-users FIRST-LAST]
        """
    static let help = """
        \(usage)

        Joins this machine to its group: registers with the boot ticket, receives the group's software, runs it and reports.

          --ticket FILE      the boot ticket (trunkline group invite G > FILE); not needed once registered
          --state DIR        keys, software and data of this machine; made if missing, used by one agent at a time
          --log-level LEVEL  trace, debug, info, notice, warning, error or critical; info without it
          --stop-software    stop the software when the agent is asked to end
          --insecure         take a ticket that leads to a broker without TLS
          --rejoin           take another ticket than the one by which this machine is registered, from the same group
          --isolation HOW    user: the software runs as a user of its own, which only root can do; none: it runs as the agent does
                             and can do all that the agent can; auto, which is the default: user where that can be
          --software-users FIRST-LAST
                             the users for software, one for each machine on this host; 61184-65519 without it
          --forget           for a machine that is gone for good: end what is left of its software, remove what that kept outside of
                             --state, and give its user back; then the state directory can be removed
          --version          print the version
          --help             print this

        SIGTERM, SIGINT and SIGHUP say goodbye to the manager and end the agent; the software goes on running, as it does when
        the agent is killed, and the next agent with the same state directory takes it over. With --stop-software it is
        stopped gracefully first; a second signal kills it at once. The agent starts the last good software without waiting
        for the network.
        Exit status: 0 ended as asked, 1 failed, 2 wrong usage, 78 the state directory does not say any more who this machine is
        (starting it again does not help; what runs is left running).
        """

    static func parse(_ arguments: [String]) -> Parsed {
        var values: [String: String] = [:]
        var forgets = false
        var (insecure, stopsSoftware, rejoins) = (false, false, false)
        var index = 0
        while index < arguments.count {
            var argument = arguments[index]
            index += 1
            switch argument {
            case "--help", "-h": return .help
            case "--version": return .version
            case "--forget":
                forgets = true
                continue
            case "--insecure":
                insecure = true
                continue
            case "--stop-software":
                stopsSoftware = true
                continue
            case "--rejoin":
                rejoins = true
                continue
            default: break
            }
            var value: String?
            if argument.hasPrefix("--"), let equals = argument.firstIndex(of: "=") {
                value = String(argument[argument.index(after: equals)...])
                argument = String(argument[..<equals])
            }
            let known = [
                "--ticket", "--state", "--log-level", "--isolation", "--software-users", Handover.argument,
            ]
            guard known.contains(argument) else {
                return .wrong("unknown argument \(argument)")
            }
            if value == nil, index < arguments.count {
                value = arguments[index]
                index += 1
            }
            guard let value, !value.isEmpty else { return .wrong("\(argument) needs a value") }
            guard values.updateValue(value, forKey: argument) == nil else {
                return .wrong("\(argument) is given twice")
            }
        }
        guard let state = values["--state"] else { return .wrong("--state is missing") }
        if forgets { return .forget(state) }
        var parsed = AgentArguments(
            ticket: values["--ticket"], state: state, insecure: insecure, rejoins: rejoins,
            stopsSoftware: stopsSoftware)
        if let text = values[Handover.argument] {
            guard let descriptor = Int32(text), descriptor > 2 else {
                return .wrong("\(Handover.argument) is for agents only")
            }
            parsed.trial = descriptor
        }
        if let text = values["--log-level"] {
            guard let level = Logger.Level(rawValue: text) else {
                return .wrong("--log-level \(text) is none of trace, debug, info, notice, warning, error, critical")
            }
            parsed.logLevel = level
        }
        if let text = values["--isolation"] {
            guard let wish = IsolationWish(rawValue: text) else {
                return .wrong("--isolation \(text) is none of auto, user, none")
            }
            parsed.isolation = wish
        }
        if let text = values["--software-users"] {
            guard let users = users(text) else {
                return .wrong(
                    "--software-users takes FIRST-LAST, such as 61184-65519, from 1 to 4294967294; got \(text)")
            }
            parsed.users = users
        }
        return .run(parsed)
    }

    private static func users(_ text: String) -> ClosedRange<uid_t>? {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { uid_t($0) }
        // 0 is root, and the last number means nobody at all to the kernel.
        guard ends.count == 2, let first = ends[0], let last = ends[1], first > 0, first <= last, last < .max else {
            return nil
        }
        return first...last
    }
}

enum StandardError {
    static func print(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        _ = write(STDERR_FILENO, bytes, bytes.count)
    }
}
