import Dispatch
import Fleet
import Glibc

/// Agents that are started by an agent: as a child for a trial, or in its own place.
enum Spawned {
    /// Replaces this process by a program, with its own number, parent and children. Returns only where that fails; errno says why.
    static func become(_ program: String, arguments: [String]) {
        takeSignals()
        withStrings([CommandLine.arguments.first ?? program] + arguments) { _ = execv(program, $0) }
    }

    static let handled = [SIGTERM, SIGINT, SIGHUP, SIGPIPE]

    /// From now on they end this process, and what it becomes begins with them so: Dispatch has blocked them, or we ignored them.
    static func takeSignals() {
        var none = sigset_t()
        sigemptyset(&none)
        for number in handled { signal(number, SIG_DFL) }
        pthread_sigmask(SIG_SETMASK, &none, nil)
    }

    /// Both ends are closed in whatever is executed. - Returns: whether there is one.
    static func pipe(_ ends: inout [Int32]) -> Bool {
        guard Glibc.pipe(&ends) == 0 else { return false }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return true
    }

    /// - Parameter kept: a descriptor that the child has, too, under the same number.
    /// - Returns: its pid; nil where it cannot be started.
    static func start(_ program: String, _ arguments: [String], keeping kept: Int32? = nil, output: Int32? = nil)
        -> pid_t?
    {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // To itself: that takes the close-on-exec mark away, in the child only.
        if let kept { posix_spawn_file_actions_adddup2(&actions, kept, kept) }
        if let output { posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var (defaults, none) = (sigset_t(), sigset_t())
        sigemptyset(&defaults)
        sigemptyset(&none)
        for number in handled { sigaddset(&defaults, number) }
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
        var pid = pid_t()
        var result = ETXTBSY
        // A process that another thread is just starting may still have the file open in which it was written.
        for _ in 0..<100 where result == ETXTBSY {
            withStrings([program] + arguments) {
                result = posix_spawn(&pid, program, &actions, &attributes, $0, environ)
            }
            if result == ETXTBSY { usleep(20_000) }
        }
        return result == 0 ? pid : nil
    }

    /// The exit status and what it printed, at most 4 KiB; a status of -1: it did not run, or not to its end in time.
    static func output(of program: String, _ arguments: [String], timeout: TimeSpan) -> (status: Int32, output: String)
    {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) else { return (-1, "") }
        let pid = start(program, arguments, output: ends[1])
        close(ends[1])
        defer { close(ends[0]) }
        guard let pid else { return (-1, "") }
        let end = SystemClock.uptime + timeout
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while content.count < 4096, isReadable(ends[0], until: end) {
            let count = read(ends[0], &buffer, buffer.count)
            guard count > 0 else { break }
            content += buffer[..<count]
        }
        return (ended(pid, until: end) ?? -1, String(decoding: content, as: UTF8.self))
    }

    /// Its exit status; nil where it had to be killed, or a signal ended it.
    static func ended(_ pid: pid_t, until end: TimeSpan) -> Int32? {
        var status: Int32 = 0
        while true {
            let found = waitpid(pid, &status, WNOHANG)
            if found == pid { break }
            if found < 0, errno != EINTR { return nil }
            if SystemClock.uptime >= end {
                kill(pid, SIGKILL)
                while waitpid(pid, &status, 0) < 0, errno == EINTR {}
                return nil
            }
            usleep(5000)
        }
        return status & 0x7f == 0 ? (status >> 8) & 0xff : nil
    }

    /// Whether something can be read, or the other end is gone, before `end`.
    static func isReadable(_ descriptor: Int32, until end: TimeSpan) -> Bool {
        while true {
            let left = end - SystemClock.uptime
            guard left > .zero else { return false }
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let found = poll(&entry, 1, Int32(min(left.milliseconds, 60_000)))
            if found > 0 { return true }
            if found < 0, errno != EINTR { return false }
        }
    }

    private static func withStrings(_ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Void) {
        let pointers = strings.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        body(pointers + [nil])
    }
}
