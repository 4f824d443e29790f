package import Fleet
import Monitor

extension Journal {
    /// What is known of the group up to then, told to a replay that stands there at the end.
    ///
    /// Blocks for as long as it reads; `flush` first, so that what was taken is there.
    ///
    /// - Parameters:
    ///   - since: differences are looked for from here on, by the time of day.
    ///   - end: by the time of day; nil: all that is there counts, and it is `now` by the monitor's clock.
    ///   - isWanted: asked now and then; false: nobody waits any more.
    package func replay(
        _ group: String, asking others: [Rule]?, since: Timestamp, until end: Timestamp?, now: Timestamp,
        calendar: Replay.Calendar? = nil,
        while isWanted: () -> Bool = { true }
    ) -> Replay {
        var replay = Replay(asking: others, since: since, calendar: calendar)
        let segments = JournalSegment.of(group: group, in: directory)
        let first = segments.lastIndex { $0.began <= since } ?? 0
        for segment in segments.dropFirst(first) where end.map({ segment.began <= $0 }) ?? true {
            guard isWanted() else { break }
            let (lines, isWhole) = segment.lines()
            for line in lines {
                if let end, replay.wall(of: line) > end { break }
                replay.take(line)
            }
            if !isWhole { replay.loseTrack() }
        }
        if let end { replay.pass(toWall: end) } else { replay.pass(to: now) }
        return replay
    }
}
