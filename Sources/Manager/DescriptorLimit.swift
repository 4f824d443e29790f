import Glibc

/// How many files and connections a process may have open.
enum DescriptorLimit {
    /// Raises the soft limit, which is 1,024 on many systems, towards this: the connections that the REST API takes are not to
    /// keep the records or the broker from being reached.
    static func raise(to wanted: UInt = 16_384) {
        let files = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard getrlimit(files, &limit) == 0, limit.rlim_cur < wanted else { return }
        limit.rlim_cur = min(wanted, limit.rlim_max)
        // With less it works as well, for fewer connections at a time.
        setrlimit(files, &limit)
    }
}
