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
}
