import Fleet
import Foundation
import Logging
import OperatingSystem
import Records

/// Brings notifications to one channel: in their order, each at least once, one batch at a time.
///
/// The history is the queue, so what waits outlives the manager and costs nothing; what is kept is where the channel stands.
struct Notifier: Sendable {
    let channel: any NotificationChannel
    let records: Records
    let signal: EventSignal
    let counters: Counters
    let clock: ManagerClock
    let logger: Logger
    private let lane: Workers

    init(
        channel: any NotificationChannel, records: Records, signal: EventSignal, counters: Counters,
        clock: ManagerClock, logger: Logger
    ) {
        self.channel = channel
        self.records = records
        self.signal = signal
        self.counters = counters
        self.clock = clock
        self.logger = logger
        lane = Workers(label: "trunkline.notify.\(channel.name)", count: 1)
    }

    /// Until it is cancelled.
    func run() async {
        counters.notifies(by: channel.name)
        await deliver()
        await channel.close()
    }

    private func deliver() async {
        let patience = channel.patience
        var place = await begin()
        var (tries, isFailing) = (0, false)
        var earliest = clock.now
        while !Task.isCancelled {
            // Read before the page: what is committed in between is found by the next round.
            let newest = signal.newest
            let after = place
            guard let found = await reading({ try $0.notifications(after: after, limit: patience.mostWaiting + 1) })
            else {
                guard await rest(patience.longestPause) else { return }
                continue
            }
            guard let first = found.entries.first else {
                place = max(place, found.lookedTo)
                if found.lookedTo < newest { continue }
                guard await signal.waitForNewer(than: max(place, newest)) else { return }
                continue
            }
            if found.entries.count > patience.mostWaiting {
                await giveUp([first], "more than \(patience.mostWaiting) wait", &place)
                continue
            }
            if clock.now < earliest {
                // What comes meanwhile goes with it.
                guard await rest(earliest - clock.now) else { return }
                continue
            }
            let batch = Array(found.entries.prefix(channel.most))
            let (reason, isRefused): (String, Bool)
            switch await channel.send(batch) {
            case .delivered:
                if isFailing { logger.notice("\(channel.words) takes notifications again") }
                (tries, isFailing) = (0, false)
                earliest = clock.now + channel.pause
                counters.notificationsDelivered(batch.count, by: channel.name)
                place = batch.last?.id ?? place
                await commit([.notified(by: channel.name, after: place)])
                continue
            case .refused(let why): (reason, isRefused) = (why, true)
            case .unreachable(let why): (reason, isRefused) = (why, false)
            }
            tries += 1
            counters.notificationFailed(by: channel.name, at: clock.now)
            // Once, not at each try.
            if !isFailing {
                logger.warning("\(channel.words) takes no notification", metadata: ["reason": "\(reason)"])
            }
            isFailing = true
            let old = found.entries.prefix { $0.at + patience.giveUpAfter <= clock.wall }
            if !old.isEmpty {
                await giveUp(Array(old), reason, &place)
                tries = 0
            } else if isRefused, tries >= patience.triesWhereRefused {
                await giveUp(batch, reason, &place)
                tries = 0
            } else {
                guard await rest(patience.pause(after: tries)) else { return }
            }
        }
    }

    /// Where it stands; a channel that is new begins with what happens from now on.
    private func begin() async -> Int64 {
        let name = channel.name
        while !Task.isCancelled {
            if let known = await reading({ try $0.notificationPlace(of: name) }) {
                if let known { return known }
                let now = signal.newest
                await commit([.notified(by: name, after: now)])
                return now
            }
            guard await rest(channel.patience.longestPause) else { break }
        }
        return 0
    }

    /// One event for all of them, which is seen where the channel is not.
    private func giveUp(_ entries: [EventEntry], _ reason: String, _ place: inout Int64) async {
        guard let first = entries.first, let last = entries.last else { return }
        let what = entries.count == 1 ? "A notification was" : "\(entries.count) notifications were"
        let event = EventEntry(
            at: clock.wall, kind: .notificationDead, actor: "manager",
            message:
                "\(what) given up by \(channel.words), the first of them event \(first.id) (\(first.message)): \(reason)",
            facts: [
                "by": channel.name, "first": "\(first.id)", "last": "\(last.id)", "count": "\(entries.count)",
                "reason": reason,
            ])
        counters.notificationsGivenUp(entries.count, by: channel.name)
        place = last.id
        await commit([.event(event), .notified(by: channel.name, after: last.id)])
    }

    /// Where it can't be committed, it is sent once more after a restart: at least once.
    private func commit(_ changes: [Records.Change]) async {
        do {
            let events = try await lane.run { [records] in try records.commit(changes) }
            if let last = events.last { signal.announce(last.id) }
        } catch {
            logger.warning("where \(channel.words) stands was not recorded", metadata: ["error": "\(error)"])
        }
    }

    private func reading<Value: Sendable>(_ body: @escaping @Sendable (Records) throws -> Value) async -> Value? {
        do { return try await lane.run { [records] in try body(records) } } catch {
            logger.warning("notifications can't be read", metadata: ["error": "\(error)"])
            return nil
        }
    }

    /// False where it is cancelled.
    private func rest(_ span: TimeSpan) async -> Bool { (try? await Task.sleep(for: span.duration)) != nil }
}
