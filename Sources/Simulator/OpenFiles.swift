import Glibc

/// Each machine takes one descriptor.
enum OpenFiles {
    /// Raises the soft limit, as far as the system allows.
    static func need(_ count: UInt) throws(SimulationFault) {
        let files = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard getrlimit(files, &limit) == 0, limit.rlim_cur < count else { return }
        guard limit.rlim_max >= count else {
            throw SimulationFault(
                "each machine takes an open file, and this process may have \(limit.rlim_max): take fewer machines, or raise it (ulimit -Hn \(count))"
            )
        }
        limit.rlim_cur = count
        guard setrlimit(files, &limit) == 0 else {
            throw SimulationFault("the limit of open files can't be raised to \(count)")
        }
    }
}
