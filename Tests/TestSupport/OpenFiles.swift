import Glibc

/// Runs `body` with room for so many open files, as far as the system allows, and goes back to what was.
package func withOpenFiles<Answer>(_ count: UInt, _ body: () async throws -> Answer) async throws -> Answer {
    let files = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    var before = rlimit()
    guard getrlimit(files, &before) == 0, before.rlim_max >= count else { throw TooFewFiles() }
    var limit = before
    limit.rlim_cur = max(before.rlim_cur, count)
    guard setrlimit(files, &limit) == 0 else { throw TooFewFiles() }
    defer { setrlimit(files, &before) }
    return try await body()
}

/// The system's hard limit of open files is below what a test needs.
package struct TooFewFiles: Error {}
