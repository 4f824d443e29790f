import ArgumentParser
import Client
import Fleet
import Foundation

/// `trunkline machine …`
struct MachineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "machine", abstract: "See machines, and why they are as they are.",
        subcommands: [
            List.self, Show.self, Explain.self, Logs.self, Drain.self, Undrain.self, Restart.self, Replace.self,
            Revoke.self,
        ])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List machines.")
        @Option(help: "Of one group only.") var group: String?
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let (machines, groups) = try await location.with { client in
                (try await client.allMachines(group: group), try await client.allGroups())
            }
            output.noteHolding(groups.filter { group == nil || $0.name == group })
            try output.list(machines, columns: MachineView.columns, name: \.id)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show one machine.")
        @Argument var machine: String
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            try output.show(try await location.with { try await $0.machine(machine) })
        }
    }

    struct Logs: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the log of machines: what their software writes, and what checks that fail do.")
        @Argument(help: "One machine or several.") var machines: [String]
        @Option(help: "How many of the last lines.") var tail = 200
        @Flag(name: [.short, .long], help: "Go on with what is new until Ctrl-C.") var follow = false
        @OptionGroup var location: ManagerLocation

        func run() async throws {
            try await location.with { client in
                guard follow else {
                    for machine in machines {
                        for line in try await client.log(ofMachine: machine, tail: tail) {
                            Self.show(line, of: machine)
                        }
                    }
                    return
                }
                try await withThrowingTaskGroup { group in
                    for machine in machines {
                        group.addTask {
                            for try await line in client.followLog(ofMachine: machine, tail: tail) {
                                Self.show(line, of: machine)
                            }
                        }
                    }
                    try await group.waitForAll()
                }
            }
        }

        private static func show(_ line: LogLine, of machine: String) {
            let time = line.at.description.dropFirst(11).prefix(8)
            StandardOutput.line("\(machine) \(line.stream.rawValue) \(time) \(line.text)".forPeople())
        }
    }

    struct Drain: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a machine take no new work, while what runs on it may end.",
            discussion: "It stays so, whatever it is given to run, until `trunkline machine undrain`.")
        @Argument var machine: String
        @Flag(help: "Until it has nothing more to do.") var wait = false
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let view = try await location.with { client in
                let start = try await client.newestEvent(machine: machine)
                let view = try await client.instruct(machine: machine, .drain)
                guard wait, !view.isIdle else { return view }
                for try await event in client.eventStream(group: nil, machine: machine, after: start) {
                    Note.line(event.line)
                    if event.kind == .machineDrained { break }
                    if event.kind == .machineUndrained || event.kind == .machineReleased {
                        throw Failure("\(machine) is not drained any more")
                    }
                }
                return try await client.machine(machine)
            }
            try output.show(view)
        }
    }

    struct Undrain: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a drained machine take new work again; nothing restarts.")
        @Argument var machine: String
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions
        func run() async throws {
            try output.show(try await location.with { try await $0.instruct(machine: machine, .undrain) })
        }
    }

    struct Restart: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Restart a machine's software.")
        @Argument var machine: String
        @OptionGroup var confirmation: Confirmation
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions
        func run() async throws {
            try output.show(
                try await location.with { client in
                    try await confirmation.require("Restart \(machine)") {
                        let stakes = try await Stakes(ofMachine: machine, client)
                        return "\(stakes.line); \(stakes.drained)"
                    }
                    return try await client.instruct(machine: machine, .restart)
                })
        }
    }

    struct Replace: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Release a machine and launch another in its place.")
        @Argument var machine: String
        @OptionGroup var confirmation: Confirmation
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions
        func run() async throws {
            try output.show(
                try await location.with { client in
                    try await confirmation.require("Replace \(machine)") {
                        try await Stakes(ofMachine: machine, client).line + "; its data go with it"
                    }
                    return try await client.instruct(machine: machine, .replace)
                })
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take a machine's key away: it gets no order any more.")
        @Argument var machine: String
        @OptionGroup var confirmation: Confirmation
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions
        func run() async throws {
            try output.show(
                try await location.with { client in
                    try await confirmation.require("Revoke \(machine)") {
                        try await Stakes(ofMachine: machine, client).line + "; its key is refused for ever"
                    }
                    return try await client.instruct(machine: machine, .revoke)
                })
        }
    }
}

extension Isolation {
    var words: String {
        switch self {
        case .user: "user: its software runs as a user of its own"
        case .absent: "none: its software runs as its agent does, and can do all that the agent can"
        }
    }
}

extension MachineView {
    /// Drained, with nothing more to do.
    fileprivate var isIdle: Bool { drain != nil && isDrained == true }

    static var columns: [Column<MachineView>] {
        [
            Column("machine", \.id), Column("state", \.state.rawValue),
            Column("software") { $0.software.map { "\($0.name)@\($0.version)" } ?? "-" },
            Column("health") { $0.software?.health.rawValue ?? "-" }, Column("verified") { $0.verified ? "yes" : "no" },
            Column("generation") { "\($0.software?.generation ?? 0)/\($0.generation)" },
            Column("isolation") { $0.isolation?.rawValue ?? "-" },
            Column("metrics") { machine in
                machine.metrics.sorted { $0.key < $1.key }.map { "\($0.key)=\(compact($0.value))" }.joined(
                    separator: " ")
            }, Column("reason") { $0.reason ?? "" },
        ]
    }

    private static func compact(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : String(format: "%.2f", value)
    }
}

extension OutputOptions {
    func show(_ machine: MachineView) throws {
        let software = machine.software.map {
            "\($0.name)@\($0.version), \($0.health.rawValue), since \($0.since), \($0.restarts) restarts, generation \($0.generation)\nsha256 \($0.digest)"
        }
        try show(
            machine, name: machine.id,
            lines: [
                ("machine", machine.id), ("group", machine.group), ("index", "\(machine.index)"),
                ("platform", machine.platform), ("state", machine.state.rawValue), ("software", software ?? "none"),
                ("order", "generation \(machine.generation)"), ("verified", machine.verified ? "yes" : "no"),
                ("away since", machine.awaySince?.description ?? ""), ("key", machine.key ?? "not registered"),
                ("heard at", machine.heardAt?.description ?? "never"), ("agent", machine.agent?.forPeople() ?? ""),
                ("isolation", machine.isolation.map { $0.words } ?? ""),
                (
                    "facts",
                    machine.facts.map {
                        "\($0.host), \($0.os), \($0.arch), \($0.cores) cores, \($0.memory / 1_048_576) MiB".forPeople()
                    } ?? ""
                ), ("reason", machine.reason?.forPeople() ?? ""),
                ("stale", machine.stale.map { OutputOptions.stale($0) } ?? ""),
            ])
    }
}
