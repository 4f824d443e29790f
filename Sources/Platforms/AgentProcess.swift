import Glibc
import OperatingSystem

/// Starts an agent that outlives this program.
///
/// With posix_spawn and not with swift-subprocess, which ends its child with the task that runs it and has no way to let go of
/// one: here the child must live on through a restart of the manager, in a session of its own, out of reach of its terminal.
enum AgentProcess {
    /// The agent's standard input is empty; both its outputs are appended to `log`.
    static func spawn(
        _ executable: String, arguments: [String], environment: [String: String], log: String
    ) throws(PlatformError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        guard posix_spawn_file_actions_init(&actions) == 0, posix_spawnattr_init(&attributes) == 0 else {
            throw .system("No process can be prepared", errno)
        }
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // A broker connection that lived on in an agent would hide the manager's death from the broker.
        guard KernelCalls.closeDescriptors(from: 3, in: &actions) else {
            throw PlatformError(.failed, "The local platform needs glibc 2.36 or newer.")
        }
        // libmosquitto ignores SIGPIPE for the whole process, and children would inherit that.
        var every = sigset_t()
        var none = sigset_t()
        sigfillset(&every)
        sigemptyset(&none)
        posix_spawnattr_setsigdefault(&attributes, &every)
        posix_spawnattr_setsigmask(&attributes, &none)
        let flags = Int16(POSIX_SPAWN_SETSIGDEF) | Int16(POSIX_SPAWN_SETSIGMASK) | KernelCalls.spawnInNewSession
        posix_spawnattr_setflags(&attributes, flags)

        var process: pid_t = 0
        let result = withStrings([executable] + arguments) { arguments in
            withStrings(environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }) { environment in
                posix_spawn(&process, executable, &actions, &attributes, arguments, environment)
            }
        }
        guard result == 0 else { throw .system("\(executable) can't be started", result) }
        return process
    }

    private static func withStrings<Result>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let pointers = strings.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers + [nil])
    }
}
