import ArgumentParser
import Client
import Fleet
import Foundation

/// `trunkline watch [G]`
struct WatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "A live table of machines until q or Ctrl-C; plain lines of changes where the output is no terminal.",
        discussion: """
            j and k or the arrows move, Enter explains a machine, l shows its log, / filters by name, group, state or software, q goes
            back and ends. With TERM=dumb, too, there are plain lines; NO_COLOR takes the colours away.
            """)
    @Argument(help: "Of one group only.", completion: .groups) var group: String?
    @OptionGroup var location: ManagerLocation

    func run() async throws {
        try await location.with { client in
            if Terminal.redraws {
                try await WatchLoop(client: client, group: group).run()
            } else {
                try await PlainWatch(client: client, group: group).run()
            }
        }
    }
}

/// `trunkline watch` where nothing can be drawn.
struct PlainWatch {
    let client: TrunklineClient
    let group: String?

    /// The table once, and then a line for each event.
    func run() async throws {
        StandardOutput.endWithReader()
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
