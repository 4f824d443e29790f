import Fleet
import Glibc

/// The two clocks of the machine.
enum SystemClock {
    /// What people read; it may jump.
    static var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }

    /// Since the machine booted, sleep included; it only grows. Everything that waits is measured with it.
    static var uptime: TimeSpan {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return TimeSpan(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }
}

extension TimeSpan {
    static func - (left: Self, right: Self) -> Self { left + right * -1 }
}
