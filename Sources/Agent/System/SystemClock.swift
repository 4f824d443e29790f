import Fleet
import OperatingSystem

/// The two clocks of the machine.
enum SystemClock {
    /// What people read; it may jump.
    static var now: Timestamp { Timestamp(milliseconds: KernelClock.realTime) }

    /// Since the machine booted, sleep included; it only grows. Everything that waits is measured with it.
    static var uptime: TimeSpan { TimeSpan(milliseconds: KernelClock.sinceBoot) }
}

extension TimeSpan {
    static func - (left: Self, right: Self) -> Self { left + right * -1 }
}
