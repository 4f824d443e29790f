package import Fleet
import Monitor

extension Journal {
    /// What is known of the group up to then, told to a replay that stands there at the end.
    ///
    /// Blocks for as long as it reads; `flush` first, so that what was taken is there.
    ///
    /// - Parameters:
    ///   - since: differences are looked for from here on, by the time of day.
    ///   - end: by the time of day.
    ///   - isWanted: asked now and then; false: nobody waits any more.
    package func replay(
        _ group: String, asking others: [Rule]?, since: Timestamp, to end: Timestamp, calendar: Replay.Calendar? = nil,
        while isWanted: () -> Bool = { true }
    ) -> Replay {
        var replay = Replay(asking: others, since: since, calendar: calendar)
        let segments = JournalSegment.of(group: group, in: directory)
        let first = segments.lastIndex { $0.began <= since } ?? 0
        for segment in segments.dropFirst(first) where segment.began <= end {
            guard isWanted() else { break }
            let (lines, isWhole) = segment.lines()
            for line in lines {
                guard replay.wall(of: line) <= end else { break }
                replay.take(line)
            }
            if !isWhole { replay.loseTrack() }
        }
        replay.pass(toWall: end)
        return replay
    }
}
