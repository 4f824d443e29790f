import Glibc
import OperatingSystem

/// Starts an agent that lives on through a restart of the manager, out of reach of its terminal.
enum AgentProcess {
    /// The agent's standard input is empty; both its outputs are appended to `log`.
    static func spawn(
        _ executable: String, arguments: [String], environment: [String: String], log: String
    ) throws(PlatformError) -> pid_t {
        // Nothing else is inherited: a broker connection that lived on in an agent would hide the manager's death from the broker.
        let files: [DetachedProcess.File] = [
            .opened("/dev/null", flags: O_RDONLY),
            .opened(log, flags: O_WRONLY | O_CREAT | O_APPEND, mode: 0o600), .same(as: 1),
        ]
        do throws(SystemError) {
            return try DetachedProcess.spawn(
                executable, arguments: [executable] + arguments, environment: environment, files: files)
        } catch {
            throw .system("\(executable) can't be started", error.number)
        }
    }
}
