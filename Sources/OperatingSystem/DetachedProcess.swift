package import Glibc

/// Starts programs that outlive this one.
///
/// With posix_spawn and not with swift-subprocess, which ends its child with the task that runs it and has no way to let go of one.
package enum DetachedProcess {
    /// What a descriptor of the child is.
    package enum File {
        /// One that this process has open.
        case inherited(Int32)
        case opened(String, flags: Int32, mode: mode_t = 0)
        /// The same as an earlier one of the child.
        case same(as: Int32)
    }

    /// Starts it in a session of its own, with every signal as a program finds it, and with no descriptor but `files` (0, 1, …).
    ///
    /// - Returns: its pid. The caller waits for it, or leaves it to whoever reaps orphans.
    package static func spawn(
        _ executable: String, arguments: [String], environment: [String: String], files: [File]
    ) throws(SystemError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        guard posix_spawn_file_actions_init(&actions) == 0, posix_spawnattr_init(&attributes) == 0 else {
            throw SystemError("start", executable)
        }
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        for (number, file) in files.enumerated() {
            let number = Int32(number)
            switch file {
            case .inherited(let own): posix_spawn_file_actions_adddup2(&actions, own, number)
            case .opened(let path, let flags, let mode):
                posix_spawn_file_actions_addopen(&actions, number, path, flags, mode)
            case .same(let earlier): posix_spawn_file_actions_adddup2(&actions, earlier, number)
            }
        }
        guard KernelCalls.closeDescriptors(from: Int32(files.count), in: &actions) else {
            throw SystemError("start", executable, number: ENOSYS)
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
        let result = withStrings(arguments) { arguments in
            withStrings(environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }) { environment in
                posix_spawn(&process, executable, &actions, &attributes, arguments, environment)
            }
        }
        guard result == 0 else { throw SystemError("start", executable, number: result) }
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
