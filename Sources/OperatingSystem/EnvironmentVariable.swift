#if canImport(Glibc)
    import Glibc
#endif

/// What this process was given in its environment.
package enum EnvironmentVariable {
    /// Takes a secret away: children do not inherit it, and `/proc/PID/environ` does not show it any more. To be called before other
    /// threads read the environment.
    package static func erase(_ name: String) {
        if let value = getenv(name) { memset(value, 0, strlen(value)) }
        unsetenv(name)
    }

    /// All of it, as it was given. (Foundation's ProcessInfo would take the agent off FoundationEssentials.)
    package static var given: [String: String] {
        let variables = (ProcessTable.environment(getpid()) ?? []).split(separator: 0).compactMap { bytes in
            bytes.firstIndex(of: UInt8(ascii: "=")).map { equals in
                (
                    String(decoding: bytes[..<equals], as: UTF8.self),
                    String(decoding: bytes[(equals + 1)...], as: UTF8.self)
                )
            }
        }
        return Dictionary(variables) { first, _ in first }
    }
}
