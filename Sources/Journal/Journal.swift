package import Fleet
import Foundation
package import Monitor
import Synchronization

/// What moved the monitor, group by group, in files of lines: for replays, and for what was so at an earlier time.
///
/// It is no record: whoever writes it never waits for it, and where the disk is full or an event cannot be kept, the journal says so and
/// the manager goes on. Each segment begins with a snapshot, so that any of them may be deleted.
package final class Journal: Sendable {
    /// A segment is closed after this much of events, or twice its snapshot where that is more, or after this long.
    static let longestSegment = 4 << 20
    static let oldestSegment = TimeSpan.hours(1)
    /// So many events may wait to be written.
    static let mostWaiting = 200_000
    static let pause = TimeSpan.minutes(1)

    let directory: String
    private let limit: Int
    private let age: TimeSpan
    private let report: @Sendable (String) -> Void
    /// Everything on disk happens here.
    private let queue = DispatchQueue(label: "trunkline.journal", qos: .utility)
    private let state = Mutex(State())
    private let pens = Mutex<[String: Pen]>([:])

    private struct State {
        var waiting = 0
        /// Groups that have a segment.
        var begun: Set<String> = []
        /// Of those the ones that need no other yet.
        var open: Set<String> = []
        /// Not to be tried before then, since the disk refused; by the monitor's clock.
        var retryAt: [String: Timestamp] = [:]
        var missed: [String: Int] = [:]
        var isFailing = false
    }

    /// - Parameters:
    ///   - limit: bytes that all segments may take.
    ///   - age: segments that ended longer ago are deleted.
    ///   - report: hears, once, that nothing can be written, and that it can again.
    package init(directory: String, limit: Int, age: TimeSpan, report: @escaping @Sendable (String) -> Void) {
        self.directory = directory
        self.limit = limit
        self.age = age
        self.report = report
    }

    /// Whether the group's next line is to be a snapshot.
    package func wantsSnapshot(of group: String, at now: Timestamp) -> Bool {
        state.withLock { state in
            !state.open.contains(group) && (state.retryAt[group].map { $0 <= now || $0 > now + Self.pause } ?? true)
        }
    }

    /// Bytes that it takes, as the directory says.
    package var size: Int { JournalSegment.all(in: directory).reduce(0) { $0 + $1.size } }

    /// Begins a segment; `shift`: how far the time of day is ahead of the monitor's clock.
    package func begin(_ snapshot: Monitor.Snapshot, at now: Timestamp, shift: TimeSpan) {
        let group = snapshot.record.name
        let missed = state.withLock { state in
            state.open.insert(group)
            state.begun.insert(group)
            state.retryAt[group] = nil
            return state.missed.removeValue(forKey: group) ?? 0
        }
        queue.async { [self] in
            do {
                let former = pens.withLock { $0.removeValue(forKey: group) }
                sweep(at: now + shift)
                var pen = try Pen(in: directory, group: group, wall: now + shift)
                if missed > 0 { try pen.write(JournalLine(at: now, shift: shift, .missed(missed))) }
                try pen.begin(snapshot, at: now, shift, goesOn: former != nil && missed == 0)
                pens.withLock { $0[group] = pen }
                recovered()
            } catch { failed(group, at: now, error) }
        }
    }

    /// Takes what was committed; never waits.
    package func take(_ happenings: [Happening], shift: TimeSpan) {
        let taken = state.withLock { state -> [Happening] in
            // What a group's first snapshot tells all the same is not missing.
            for happening in happenings where state.retryAt[happening.group] != nil {
                state.missed[happening.group, default: 0] += 1
            }
            let taken = happenings.filter { state.begun.contains($0.group) }
            guard state.waiting + taken.count <= Self.mostWaiting else {
                // Without these events the rest of the segment would not be true.
                for happening in taken {
                    state.missed[happening.group, default: 0] += 1
                    state.open.remove(happening.group)
                }
                return []
            }
            state.waiting += taken.count
            return taken
        }
        guard !taken.isEmpty else { return }
        queue.async { [self] in
            for happening in taken { write(happening, shift) }
            state.withLock { $0.waiting -= taken.count }
        }
    }

    /// Waits until everything that was taken is written.
    package func flush() async {
        await withCheckedContinuation { continuation in queue.async { continuation.resume() } }
    }

    private func write(_ happening: Happening, _ shift: TimeSpan) {
        let group = happening.group
        // Else it has just failed, which is counted.
        guard var pen = pens.withLock({ $0.removeValue(forKey: group) }) else { return }
        do {
            // Only once: the next one may be on its way already.
            let wasDone = pen.isDone
            try pen.write(happening, shift)
            pen.isDone = pen.written > pen.room || happening.at - pen.since > Self.oldestSegment
            let isGone = if case .groupDeleted = happening.event { true } else { false }
            // Until the next snapshot comes this one goes on.
            if !isGone { pens.withLock { $0[group] = pen } }
            guard pen.isDone && !wasDone || isGone else { return }
            state.withLock { state in
                state.open.remove(group)
                if isGone { state.begun.remove(group) }
            }
        } catch { failed(group, at: happening.at, error) }
    }

    private func failed(_ group: String, at now: Timestamp, _ error: any Error) {
        pens.withLock { $0[group] = nil }
        let isNew = state.withLock { state in
            state.open.remove(group)
            state.begun.remove(group)
            state.retryAt[group] = now + Self.pause
            state.missed[group, default: 0] += 1
            defer { state.isFailing = true }
            return !state.isFailing
        }
        if isNew { report("the journal cannot be written, so that replays will lack what happens now: \(error)") }
    }

    private func recovered() {
        let was = state.withLock { state in
            defer { state.isFailing = false }
            return state.isFailing
        }
        if was { report("the journal is written again") }
    }

    /// Deletes what is too old, then the oldest until the rest fits.
    private func sweep(at wall: Timestamp) {
        var segments = JournalSegment.all(in: directory).sorted { $0.began < $1.began }
        var total = segments.reduce(0) { $0 + $1.size }
        let open = pens.withLock { Set($0.values.map(\.path)) }
        while let first = segments.first(where: { !open.contains($0.path) }),
            total > limit || first.ended + age < wall
        {
            segments.removeAll { $0.path == first.path }
            total -= first.size
            first.delete()
        }
    }
}
