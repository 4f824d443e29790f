import ArgumentParser
import Client
import Fleet
import Foundation

/// `trunkline watch [G]`
struct WatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "A live table of machines until Ctrl-C; plain lines of changes where the output is no terminal.")
    @Argument(help: "Of one group only.") var group: String?
    @OptionGroup var location: ManagerLocation

    func run() async throws {
        try await location.with { client in
            try await LiveTable(client: client, group: group).show()
        }
    }
}

/// The live view: drawn anew at each event, and once a second for what no event tells (metrics).
struct LiveTable {
    let client: TrunklineClient
    let group: String?

    func show() async throws {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            if Terminal.redraws {
                tasks.addTask {
                    while true {
                        // A manager that is started anew is back within some seconds.
                        do { try await draw() } catch let error as ClientError where error.isPassing {
                            show(lines: [Terminal.paint(error.description.forPeople(), .red)])
                        }
                        try await Task.sleep(for: .seconds(1))
                    }
                }
            } else {
                tasks.addTask { try await tell() }
            }
            try await tasks.next()
            tasks.cancelAll()
        }
    }

    /// The table once, and then a line for each event.
    private func tell() async throws {
        var picture = LivePicture()
        for try await sight in client.watch(group: group, hasMetrics: false) {
            let before = picture
            picture.take(sight)
            switch sight {
            case .lost(let why):
                if before.lost == nil { Note.line("not connected, trying again: \(why)".forPeople()) }
            case .item(.event(let event)): StandardOutput.line(event.line)
            case .item(.ready) where !before.isWhole:
                for line in OutputOptions.holding(picture.groups.values.sorted { $0.name < $1.name }) {
                    Note.line(line)
                }
                StandardOutput.write(
                    Table(columns: MachineView.columns(ofOne: group != nil)).text(
                        picture.machines.values.sorted { ($0.group, $0.index) < ($1.group, $1.index) }))
            default: break
            }
        }
    }

    private func draw() async throws {
        let groups = try await client.allGroups().filter { group == nil || $0.name == group }
        let machines = try await client.allMachines(group: group)
        var text = ""
        for view in groups {
            let phase = Terminal.paint(view.status.phase.rawValue, view.status.phase.colour)
            text += Terminal.paint(view.name.forPeople(), .bold)
            text += "  \(view.service.forPeople())  \(view.software.forPeople())  revision \(view.revision)  \(phase)  "
            text += "\(view.status.verified)/\(view.status.desired) verified\n"
        }
        for line in OutputOptions.holding(groups) { text += Terminal.paint(line, .red) + "\n" }
        text += "\n"
        text += Table(columns: MachineView.columns(ofOne: group != nil)).text(machines, within: Terminal.width) {
            Terminal.paint($1, $0.colour)
        }
        show(lines: text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init))
    }

    /// As many lines as the terminal has; the rest is counted.
    private func show(lines: [String]) {
        var lines = lines
        if let height = Terminal.height, lines.count >= height {
            let shown = max(height - 2, 1)
            lines =
                lines.prefix(shown) + [
                    "… \(lines.count - shown) more lines; watch one group, or make the terminal higher"
                ]
        }
        // Home, then each line cleared to its end, then what is below: no flicker.
        StandardOutput.write("\u{1B}[H" + lines.map { $0 + "\u{1B}[K\n" }.joined() + "\u{1B}[J")
    }
}

extension ClientError {
    /// No answer came, or the manager is not ready: it may be so in a moment.
    fileprivate var isPassing: Bool { status == nil || status == 503 }
}

extension GroupStatusView.Phase {
    var colour: Terminal.Colour {
        switch self {
        case .converged: .green
        case .degraded: .red
        case .converging, .rolling: .yellow
        case .defined, .paused, .stopped: .dim
        }
    }
}

extension MachineView {
    var colour: Terminal.Colour {
        switch state {
        case .running: verified ? .green : .yellow
        case .failed, .away: .red
        case .idle, .stopped: .dim
        case .receiving, .starting, .draining: .yellow
        }
    }
}
