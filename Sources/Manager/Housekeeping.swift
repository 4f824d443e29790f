import Fleet
import Logging
import Records
import OperatingSystem

/// Deletes what is kept no longer, a slice at a time, beside everything else; bundles that nothing names; and gives memory back.
struct Housekeeping: Sendable {
    let records: Records
    /// As it is in force now.
    let retention: @Sendable () -> Retention
    let control: Control
    let clock: ManagerClock
    let logger: Logger
    let lane = Workers(label: "trunkline.housekeeping", count: 1)

    /// How long after one round the next begins.
    static let pause = TimeSpan.minutes(1)
    /// Between two slices, so that others get at the database, too.
    static let breath = TimeSpan.milliseconds(20)
    /// A bundle without a row may be on its way to its commit for so long.
    static let grace = TimeSpan.hours(1)

    /// Bytes by which the process must have grown since memory was last given back: others wait meanwhile.
    static let worthGivingBack = 16 << 20
    /// Between two looks at it.
    static let memoryPause = TimeSpan.seconds(10)

    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await giveBackMemory() }
            await sweep()
            group.cancelAll()
        }
    }

    /// What a burst of thousands took is mostly free again once it is over.
    private func giveBackMemory() async {
        var held = 0
        while (try? await Task.sleep(for: .milliseconds(Self.memoryPause.milliseconds))) != nil {
            held =
                (try? await lane.run { [held] in
                    guard ProcessMetrics.anonymousMemory > held + Self.worthGivingBack else { return held }
                    FreedMemory.giveBack()
                    return ProcessMetrics.anonymousMemory
                }) ?? held
        }
    }

    private func sweep() async {
        var rounds = 0
        repeat {
            do {
                try await prune()
                if rounds % 60 == 0 {
                    try await control.sweepBundles(olderThan: Self.grace)
                }
            } catch is CancellationError {
                return
            } catch {
                // A full disk is said elsewhere; the next round comes.
                logger.warning("what is kept no longer was not deleted", metadata: ["error": "\(error)"])
            }
            rounds += 1
        } while (try? await Task.sleep(for: .milliseconds(Self.pause.milliseconds))) != nil
    }

    /// Until nothing is left to be deleted.
    func prune() async throws {
        // The earlier of both clocks: where one of them was set forward, nothing goes before its time.
        let now = min(clock.now, clock.wall)
        // Content keys go, too.
        defer { control.sealerRows.forget() }
        let retention = retention()
        while try await lane.run({ [records] in try records.prune(retention, at: now) }) > 0 {
            control.sealerRows.forget()
            try await Task.sleep(for: .milliseconds(Self.breath.milliseconds))
        }
    }
}
