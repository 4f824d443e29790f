import ArgumentParser
import Client
import Fleet
import Foundation

/// An instant that is over: how long ago it is, or when it was.
struct Past: ExpressibleByArgument, CustomStringConvertible {
    let ago: TimeSpan

    var description: String { ago.description }

    init(ago: TimeSpan) { self.ago = ago }

    init?(argument: String) {
        let text = argument.hasSuffix(" ago") ? String(argument.dropLast(4)) : argument
        if let span = TimeSpan(text), span >= .zero {
            ago = span
        } else if let instant = Timestamp(argument) {
            // The manager counts from its own clock: rounded, so that a clock that is a little ahead of it does no harm.
            ago = .milliseconds(max(0, Int64(Date().timeIntervalSince1970 * 1000) - instant.milliseconds))
        } else {
            return nil
        }
    }
}

/// `trunkline replay`
struct ReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Ask what other rules would have done with what a group went through.",
        discussion: """
            The manager feeds the journal of what happened to the rules in the file, and to those that were in force. A line with + is what the
            rules in the file would have done besides; one with - is what was done, and would not have been. Machines did what they did:
            what would have come of an act is not made up. Nothing is changed.
            """)
    @Option(help: ArgumentHelp("The group's record with other rules; - reads standard input.", valueName: "file"))
    var with: String
    @Option(help: "How far back: 24h, or a time such as 2026-11-30T10:05:00Z.") var since = Past(ago: .hours(24))
    @OptionGroup var location: ManagerLocation
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let (text, _) = try RecordFile.read(with)
        let replay = try await location.with { try await $0.replay(text, over: since.ago) }
        guard output.format == .table else { return try output.json(replay) }
        for line in replay.notes where !output.quiet { Note.line("\(replay.group): \(line)".forPeople()) }
        for act in replay.acts {
            StandardOutput.line(output.quiet ? act.subject(of: replay).forPeople() : act.line(of: replay))
        }
        guard !output.quiet else { return }
        if replay.more > 0 { Note.line("… and \(replay.more) more") }
        Note.line(replay.summary)
    }
}

extension ReplayView {
    fileprivate var notes: [String] {
        remarks
            + gaps.map { "nothing is known from \($0.from) to \($0.to): the manager did not run, or could not write" }
    }

    fileprivate var summary: String {
        let (would, wouldNot) = (acts.count(where: \.would), acts.count { !$0.would })
        let machines = Set(acts.compactMap(\.machine)).count
        let looked = "\(from) to \(to), \(events) events"
        guard !acts.isEmpty else {
            return "\(group): nothing would have been done otherwise (\(same) acts the same); looked at \(looked)"
        }
        return
            "\(group): \(would) more acts, \(wouldNot) fewer, \(same) the same, at \(machines) machines; looked at \(looked)"
    }
}

extension ReplayView.Act {
    fileprivate func subject(of replay: ReplayView) -> String { machine ?? replay.group }

    fileprivate func line(of replay: ReplayView) -> String {
        let seen = facts.sorted { $0.key < $1.key }.map { "\($0.key) is \($0.value)" }.joined(separator: ", ")
        let text = "\(would ? "+" : "-") \(at) \(subject(of: replay)) \(action) by \(rule): \(seen)".forPeople()
        return Terminal.paint(text, would ? .green : .red)
    }
}
