import Glibc

/// The clocks of Linux (clock_gettime(2)), read here for the reason that `FileStatus` has: `struct timespec` is Dispatch's elsewhere.
package enum KernelClock {
    /// Of day, since the Unix epoch; it may jump. In milliseconds.
    package static var realTime: Int64 { read(CLOCK_REALTIME) }

    /// Since the machine booted, sleep included; it only grows. In milliseconds.
    package static var sinceBoot: Int64 { read(CLOCK_BOOTTIME) }

    /// Like `sinceBoot` without sleep: what systemd's protocols take. In microseconds.
    package static var monotonicMicroseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
