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
        let latest = try await client.newestEvent(group: group)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            if Terminal.isOutput {
                tasks.addTask {
                    while true {
                        try await draw()
                        try await Task.sleep(for: .seconds(1))
                    }
                }
            } else {
                tasks.addTask {
                    let groups = try await client.allGroups().filter { group == nil || $0.name == group }
                    for line in OutputOptions.holding(groups) { Note.line(line) }
                    StandardOutput.write(
                        Table(columns: MachineView.columns(ofOne: group != nil)).text(
                            try await client.allMachines(group: group)))
                    for try await event in client.eventStream(group: group, machine: nil, after: latest) {
                        StandardOutput.line(event.line)
                    }
                }
            }
            try await tasks.next()
            tasks.cancelAll()
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
        // Home, then each line cleared to its end, then what is below: no flicker.
        let lines = text.replacingOccurrences(of: "\n", with: "\u{1B}[K\n")
        StandardOutput.write("\u{1B}[H\(lines)\u{1B}[J")
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

extension TrunklineClient {
    /// The id of the last event there is.
    func newestEvent(group: String? = nil, machine: String? = nil) async throws -> Int64 {
        var last: Int64 = 0
        while true {
            let page = try await events(group: group, machine: machine, after: last, limit: 1000)
            last = page.items.last?.id ?? last
            if page.next == nil { return last }
        }
    }
}
