import Fleet
import Foundation
import OperatingSystem
import Records
import Synchronization

/// The two times of the manager.
///
/// `now` only goes forward, through sleep as well: all state is measured in it. It is CLOCK_BOOTTIME plus an anchor that is taken once for each
/// boot of the machine and kept in the records, so that what a manager has written down stays comparable for the next one, however the wall
/// clock is stepped. `wall` is what people, certificates and tokens go by.
final class ManagerClock: Sendable {
    static let process = ManagerClock()

    private let anchor: Mutex<Int64>
    private let readWall: @Sendable () -> Timestamp
    private let sinceBoot: @Sendable () -> Int64
    /// The shift that people were told last.
    private let shown = Mutex<TimeSpan?>(nil)

    init(
        wall: @escaping @Sendable () -> Timestamp = { Timestamp(milliseconds: KernelClock.realTime) },
        sinceBoot: @escaping @Sendable () -> Int64 = { KernelClock.sinceBoot }
    ) {
        readWall = wall
        self.sinceBoot = sinceBoot
        anchor = Mutex(wall().milliseconds - sinceBoot())
    }

    var now: Timestamp { Timestamp(milliseconds: anchor.withLock { $0 } + sinceBoot()) }
    var wall: Timestamp { readWall() }
    /// What is to be added to an instant of `now` before people see it.
    ///
    /// The same from one call to the next while the two clocks go alike: each is read in whole milliseconds, one after the other, and who asks
    /// twice is to see an instant at one time.
    var shift: TimeSpan {
        let (before, wall, after) = (now, wall, now)
        let read = wall - before
        return shown.withLock { shown in
            // Nor does it count that this thread had to wait between the two.
            guard let known = shown,
                abs(read.milliseconds - known.milliseconds) <= Self.unsteadiness + (after - before).milliseconds
            else {
                shown = read
                return read
            }
            return known
        }
    }

    /// Milliseconds.
    private static let unsteadiness: Int64 = 3

    /// Goes on with the anchor of this boot, and writes one down where there is none.
    func anchor(in records: Records, bootID: String = ManagerClock.bootID) throws {
        if let kept = try records.clock(), !bootID.isEmpty, kept.bootID == bootID {
            anchor.withLock { $0 = kept.anchor }
        } else {
            _ = try records.commit([.clock(ClockRow(bootID: bootID, anchor: anchor.withLock { $0 }))])
        }
    }

    /// Another one at each boot; empty where the kernel does not say.
    static var bootID: String {
        let text = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
        return (text ?? "").trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

extension Timestamp {
    /// The manager's monotonic time: see `ManagerClock`.
    static var now: Timestamp { ManagerClock.process.now }
    /// The time of day.
    static var wall: Timestamp { ManagerClock.process.wall }
}
