import ArgumentParser
import Client
import Fleet
import Foundation

/// `trunkline rollout …`
struct RolloutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollout", abstract: "See how a change goes through a group, and have a word in it.",
        discussion: """
            A change of what machines run goes through the group in waves, as the record's `rollout` block says. A machine is ok once it
            is verified with the new release for the whole settle time; one that is away is neither ok nor failed.
            """,
        subcommands: [Show.self, Watch.self, History.self, Promote.self, Pause.self, Resume.self, Abort.self])

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the group's last rollout: waves, machines, and what it waits for.")
        @Argument(completion: .groups) var group: String
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            try output.show(try await location.with { try await $0.rollout(group) })
        }
    }

    struct History: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List how the group's rollouts went.")
        @Argument(completion: .groups) var group: String
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let rollouts = try await location.with { try await $0.rollouts(group) }
            try output.list(rollouts, columns: RolloutView.columns, name: { "\($0.number)" })
        }
    }

    struct Watch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Follow the group's rollout until it is over: in place on a terminal, a line a step elsewhere.",
            discussion: "Exit status 1 where it failed, was aborted or is paused.")
        @Argument(completion: .groups) var group: String
        @OptionGroup var location: ManagerLocation

        func run() async throws {
            let last = try await location.with { client in
                StandardOutput.endWithReader()
                return try await RolloutProgress(client: client, group: group).follow()
            }
            guard let last, last.phase != .done else { return }
            throw Failure(
                "\(group): rollout \(last.number) is \(last.phase.rawValue)\(last.why.map { ": \($0)" } ?? "")"
                    .forPeople())
        }
    }

    struct Promote: RolloutInstructionCommand {
        static let configuration = CommandConfiguration(abstract: "Let a rollout go on behind its canaries.")
        static let instruction = TrunklineClient.RolloutInstruction.promote
        @Argument(completion: .groups) var group: String
        @Option(help: "Why; it is kept in the audit log.") var reason: String?
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions
    }

    struct Pause: RolloutInstructionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change no further machine until it is resumed; rules go on acting.")
        static let instruction = TrunklineClient.RolloutInstruction.pause
        @Argument(completion: .groups) var group: String
        @Option(help: "Why; it is kept in the audit log.") var reason: String?
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions
    }

    struct Resume: RolloutInstructionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Go on with a paused rollout; the machines that failed so far are accepted.")
        static let instruction = TrunklineClient.RolloutInstruction.resume
        @Argument(completion: .groups) var group: String
        @Option(help: "Why; it is kept in the audit log.") var reason: String?
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions
    }

    struct Abort: RolloutInstructionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give a rollout up: machines that were changed go back in waves, under the same drain.")
        static let instruction = TrunklineClient.RolloutInstruction.abort
        @Argument(completion: .groups) var group: String
        @Option(help: "Why; it is kept in the audit log.") var reason: String?
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions
    }
}

/// A person's word on a rollout.
protocol RolloutInstructionCommand: AsyncParsableCommand {
    var group: String { get }
    var reason: String? { get }
    var location: ManagerLocation { get }
    var output: OutputOptions { get }
    static var instruction: TrunklineClient.RolloutInstruction { get }
}

extension RolloutInstructionCommand {
    func run() async throws {
        try output.show(
            try await location.with {
                try await $0.instruct(rolloutOf: group, Self.instruction, because: reason)
            })
    }
}

/// A rollout while it goes on: looked at again at each event of its group.
struct RolloutProgress {
    let client: TrunklineClient
    let group: String
    /// Before each line.
    var indent = ""

    /// Returns it as it was when it was over, or waited for a person; nil: the group is gone.
    func follow() async throws -> RolloutView? {
        // One that there never was is refused here.
        var view = try await client.rollout(group)
        var drawn = Terminal.redraws ? draw(view, over: 0) : 0
        if !Terminal.redraws { StandardOutput.line(indent + view.line) }
        if view.isOver { return view }
        for try await sight in client.watch(group: group, hasMetrics: false) {
            guard case .item(let item) = sight else { continue }
            if case .removed(let gone) = item, gone.machine == nil { return nil }
            guard case .rollout(let now) = item else { continue }
            let last = view
            view = now
            if Terminal.redraws {
                // One that takes its place, such as the way back, has a picture of its own.
                drawn = draw(view, over: view.number == last.number ? drawn : 0)
            } else if view.line != last.line {
                StandardOutput.line(indent + view.line)
            }
            if view.isOver { break }
        }
        return view
    }

    /// Returns how many lines it took.
    private func draw(_ view: RolloutView, over lines: Int) -> Int {
        // A line that the terminal breaks would be two.
        let width = Terminal.width ?? .max
        let text = ([view.line] + view.picture).map { "\((indent + $0.forPeople()).prefix(width))\u{1B}[K\n" }
        StandardOutput.write((lines > 0 ? "\u{1B}[\(lines)A" : "") + text.joined() + "\u{1B}[J")
        return text.count
    }
}

extension RolloutView {
    static var columns: [Column<RolloutView>] {
        [
            Column("rollout") { "\($0.number)" }, Column("what", \.what), Column("by", \.by),
            Column("phase", \.phase.rawValue), Column("waves") { "\($0.waves.count)" },
            Column("failed") { "\($0.failed)" }, Column("began") { "\($0.began)" },
            Column("took") { view in view.ended.map { "\(($0 - view.began).words)" } ?? "-" },
            Column("why") { $0.why ?? "" },
        ]
    }

    /// Nobody but a person moves it on.
    var isOver: Bool {
        switch phase {
        case .rolling, .goingBack: false
        case .waiting, .paused, .done, .superseded, .aborted, .failed: true
        }
    }

    var line: String {
        var text = "\(group): rollout \(number), \(what): \(phase.rawValue), \(ok) ok, \(failed) failed, \(away) away"
        if waiting + draining + changing > 0 {
            text += "; \(waiting) to come, \(draining) draining, \(changing) changing"
        }
        if let waits { text += "; waits for \(waits)" }
        return text
    }

    /// Each wave a line, each machine a sign in it: `✓` ok, `✗` failed, `↻` changing, `↓` draining, `?` away, `·` to come.
    var picture: [String] {
        func sign(_ machine: Machine) -> String {
            switch machine.standing {
            case .ok: "✓"
            case .failed: "✗"
            case .changing: "↻"
            case .draining: "↓"
            case .away: "?"
            case .drawn, .waiting: "·"
            }
        }
        func signs(_ machines: [Machine]) -> String {
            machines.prefix(60).map(sign).joined() + (machines.count > 60 ? " +\(machines.count - 60)" : "")
        }
        var lines = waves.map { wave in
            let title = wave.canary ? "canary" : "wave \(wave.number)"
            return title.padding(toLength: 9, withPad: " ", startingAt: 0)
                + signs(machines.filter { $0.wave == wave.number })
                + (wave.ended.map { "  \(($0 - wave.began).words)" } ?? "")
        }
        let rest = machines.filter { $0.wave == nil }
        if !rest.isEmpty { lines.append("others   " + signs(rest)) }
        return lines
    }
}

extension OutputOptions {
    func show(_ rollout: RolloutView) throws {
        var lines = [
            ("group", rollout.group), ("rollout", "\(rollout.number), \(rollout.what)"), ("by", rollout.by),
            ("phase", rollout.phase.rawValue), ("why", rollout.why ?? ""), ("waits for", rollout.waits ?? ""),
            ("counts", "\(rollout.ok) ok, \(rollout.failed) failed, \(rollout.away) away"),
            ("drains", rollout.drains?.line ?? ""),
            ("", rollout.picture.joined(separator: "\n")),
        ]
        for machine in rollout.machines where machine.standing != .ok && machine.standing != .waiting {
            var text = machine.standing.rawValue
            if let load = machine.load { text += ", load \(load.formatted())" }
            if let reason = machine.reason { text += ": \(reason)" }
            lines.append((machine.machine, text))
        }
        try show(
            rollout, name: "\(rollout.number)",
            lines: lines.map {
                ($0.0, $0.1.split(separator: "\n").map { String($0).forPeople() }.joined(separator: "\n"))
            })
    }
}
