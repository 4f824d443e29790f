import Fleet

/// Which parts of a bundle are here and when to say so. Pure.
struct Receiver: Sendable {
    let count: Int
    private(set) var have: PartRanges
    /// What the status says; it follows `have` in steps, so that not every part makes a status.
    private(set) var reported: PartRanges
    /// A report is owed although nothing new is here: a part came that could not be used, or none came for long.
    private(set) var mustRepeat = false
    private var unreported = 0
    private var reportAt: TimeSpan?
    private var quietAt: TimeSpan

    /// As few as may be under way to one of many.
    static let partsPerReport = 8
    /// From the first part that was not reported: a slow stream does not put it off. Each report is a status that the manager has to take.
    static let reportDelay = TimeSpan.milliseconds(50)
    /// Without a part for so long, what is lacking is said again: a broker may have dropped it.
    static let quiet = TimeSpan.seconds(3)

    init(count: Int, have: PartRanges, now: TimeSpan) {
        self.count = count
        self.have = have
        reported = have
        quietAt = now + Self.quiet
    }

    var isComplete: Bool { have.count == count }

    func wants(_ part: Int) -> Bool { part >= 0 && part < count && !have.contains(part) }

    var deadline: TimeSpan? { isComplete ? nil : min(reportAt ?? quietAt, quietAt) }

    /// The part is verified and on disk.
    mutating func took(_ part: Int, now: TimeSpan) {
        have.insert(part)
        unreported += 1
        quietAt = now + Self.quiet
        if unreported >= Self.partsPerReport || isComplete { report() } else { soon(now) }
    }

    /// These were found on this machine.
    mutating func found(_ parts: PartRanges, now: TimeSpan) {
        have.formUnion(parts)
        quietAt = now + Self.quiet
        report()
    }

    /// A part came that was not what it should be: the manager is to see that it still lacks.
    mutating func refused(now: TimeSpan) { soon(now) }

    private mutating func soon(_ now: TimeSpan) { reportAt = reportAt ?? now + Self.reportDelay }

    mutating func due(now: TimeSpan) {
        guard let deadline, deadline <= now else { return }
        if have == reported { mustRepeat = true }
        quietAt = now + Self.quiet
        report()
    }

    /// The repeated report was handed to the reporter.
    mutating func repeated() { mustRepeat = false }

    private mutating func report() {
        reported = have
        unreported = 0
        reportAt = nil
    }
}
