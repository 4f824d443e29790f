import Fleet
import FoundationEssentials
import Glibc

/// All that the launcher needs to know to become one program: handed over on its standard input, since an environment such as
/// `LD_PRELOAD` must not reach it while it is root.
struct LaunchOrder: Hashable, Sendable, Codable {
    /// Absolute.
    var program: String
    /// With the name that the program is called by as the first.
    var arguments: [String]
    var environment: [String: String]
    var directory: String
    /// Nil: as the agent itself.
    var user: uid_t?
    /// Of `Capabilities.numbers`; nothing without a user.
    var capabilities: [String] = []
    /// The control group to run in.
    var group: String?
    /// By resource, what cannot be limited by a control group.
    var limits: [ResourceLimit] = []
}

/// A limit that the kernel sets to each process.
struct ResourceLimit: Hashable, Sendable, Codable {
    enum Resource: String, Hashable, Sendable, Codable {
        case files, processes, memory
    }

    var resource: Resource
    var value: Int

    /// - Returns: whether the kernel took it.
    func apply() -> Bool {
        let kind =
            switch resource {
            case .files: __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
            // RLIMIT_NPROC, which Swift's Glibc does not show.
            case .processes: __rlimit_resource_t(6)
            case .memory: __rlimit_resource_t(RLIMIT_AS.rawValue)
            }
        var limit = rlimit(rlim_cur: rlim_t(value), rlim_max: rlim_t(value))
        if setrlimit(kind, &limit) == 0 { return true }
        // Only root may raise the hard limit: what is there has to do.
        guard errno == EPERM, getrlimit(kind, &limit) == 0 else { return false }
        limit.rlim_cur = min(rlim_t(value), limit.rlim_max)
        return setrlimit(kind, &limit) == 0
    }
}
