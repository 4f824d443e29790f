import ArgumentParser
import Fleet
import Manager

/// How much of what grows is kept: whichever of time and number ends first.
struct KeepOptions: ParsableArguments {
    @Option(help: ArgumentHelp("How long events are kept.", valueName: "time"))
    var keepEvents = "90d"

    @Option(help: ArgumentHelp("How many events are kept; some 300 bytes each.", valueName: "count"))
    var keepEventsRows = 1_000_000

    @Option(help: ArgumentHelp("How long lines of the audit log are kept.", valueName: "time"))
    var keepAudit = "400d"

    @Option(help: ArgumentHelp("How many lines of the audit log are kept; some 500 bytes each.", valueName: "count"))
    var keepAuditRows = 1_000_000

    @Option(
        help: ArgumentHelp(
            "How many revisions of each group are kept, to look at and roll back to.", valueName: "count"))
    var keepRevisions = 100

    @Option(
        help: ArgumentHelp(
            "How long the journal is kept, from which rules are replayed and earlier times explained.",
            valueName: "time"))
    var keepJournal = "14d"

    @Option(help: ArgumentHelp("How many megabytes the journal may take; 0: none is kept.", valueName: "MB"))
    var keepJournalSize = 512

    func validate() throws {
        guard keepJournalSize >= 0, keepJournalSize <= 1 << 30 else {
            throw ValidationError("--keep-journal-size takes megabytes, 0 or more; got \(keepJournalSize)")
        }
        for (name, text) in [
            ("--keep-events", keepEvents), ("--keep-audit", keepAudit), ("--keep-journal", keepJournal),
        ] {
            guard let time = TimeSpan(text), time >= .hours(1) else {
                throw ValidationError("\(name) takes a time of at least 1h, such as 90d; got \(text)")
            }
        }
        for (name, count) in [("--keep-events-rows", keepEventsRows), ("--keep-audit-rows", keepAuditRows)] {
            guard count >= 1000 else { throw ValidationError("\(name) must be 1000 or more") }
        }
        guard keepRevisions >= 2 else {
            throw ValidationError("--keep-revisions must be 2 or more: otherwise there is nothing to roll back to")
        }
    }

    func apply(to configuration: inout ManagerConfiguration) {
        configuration.keepEvents(TimeSpan(keepEvents) ?? .hours(24 * 90), rows: keepEventsRows)
        configuration.keepAudit(TimeSpan(keepAudit) ?? .hours(24 * 400), rows: keepAuditRows)
        configuration.keepRevisions(keepRevisions)
        configuration.largestJournal = keepJournalSize << 20
        configuration.journalAge = TimeSpan(keepJournal) ?? configuration.journalAge
    }
}
