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

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show one machine.")
        @Argument(completion: .machines) var machine: String
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            try output.show(try await location.with { try await $0.machine(machine) })
        }
    }

    struct Logs: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the log of machines: what their software writes, and what checks that fail do.")
        @Argument(help: "One machine or several.", completion: .machines) var machines: [String] = []
        @Option(help: "All machines of this group that can be heard.", completion: .groups) var group: String?
        @Option(help: "How many of the last lines.") var tail = 200
        @Flag(name: [.short, .long], help: "Go on with what is new until Ctrl-C.") var follow = false
        @OptionGroup var location: ManagerLocation

        func validate() throws {
            if machines.isEmpty, group == nil { throw ValidationError("which machines? name them, or --group") }
        }

        func run() async throws {
            try await location.with { client in
                let machines = try await machines + ofGroup(client)
                guard follow else {
                    for (index, machine) in machines.enumerated() {
                        for line in try await client.log(ofMachine: machine, tail: tail) {
                            Self.show(line, of: machine, index)
                        }
                    }
                    return
                }
                StandardOutput.endWithReader()
                // The others go on where one is gone.
                let failures = await withTaskGroup(of: String?.self) { group in
                    for (index, machine) in machines.enumerated() {
                        group.addTask {
                            do {
                                for try await line in client.followLog(ofMachine: machine, tail: tail) {
                                    Self.show(line, of: machine, index)
                                }
                                return nil
                            } catch {
                                return "\(machine): \(error)"
                            }
                        }
                    }
                    var failures: [String] = []
                    for await case let failure? in group {
                        failures.append(failure)
                        if failures.count < machines.count { Note.line(failure) }
                    }
                    return failures
                }
                if let last = failures.last { throw Failure(last) }
            }
        }

        private func ofGroup(_ client: TrunklineClient) async throws -> [String] {
            guard let group else { return [] }
            let all = try await client.allMachines(group: group).filter { $0.phase == .joined }
            for machine in all where machine.awaySince != nil { Note.line("\(machine.id) is away") }
            return all.filter { $0.awaySince == nil }.map(\.id)
        }

        /// Each machine in a colour of its own, so that they can be told apart.
        private static func show(_ line: LogLine, of machine: String, _ index: Int) {
            let time = line.at.description.dropFirst(11).prefix(8)
            let colours: [Terminal.Colour] = [.cyan, .yellow, .green, .magenta, .blue]
            let prefix = Terminal.paint(machine.forPeople(), colours[index % colours.count])
            StandardOutput.write("\(prefix) \("\(line.stream.rawValue) \(time) \(line.text)".forPeople())\n")
        }
    }

    struct Drain: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a machine take no new work, while what runs on it may end.",
            discussion: "It stays so, whatever it is given to run, until `trunkline machine undrain`.")
        @Argument(completion: .machines) var machine: String
        @Flag(help: "Until it has nothing more to do.") var wait = false
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let view = try await location.with { client in
                let view = try await client.instruct(machine: machine, .drain)
                guard wait, !view.isIdle else { return view }
                Note.line("\(machine) takes no new work, and is waited for until it has nothing more to do")
                for try await sight in client.watch(group: view.group, hasMetrics: false) {
                    guard case .item(let item) = sight else { continue }
                    switch item {
                    case .event(let event) where event.machine == machine: Note.line(event.line)
                    case .machine(let now) where now.id == machine:
                        if now.isIdle {
                            Note.line("\(machine) is drained")
                            return now
                        }
                        if now.drain == nil { throw Failure("\(machine) is not drained any more") }
                    case .removed(let gone) where gone.machine == machine || gone.machine == nil:
                        throw Failure("\(machine) is gone")
                    default: break
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
        @Argument(completion: .machines) var machine: String
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions
        func run() async throws {
            try output.show(try await location.with { try await $0.instruct(machine: machine, .undrain) })
        }
    }

    struct Restart: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Restart a machine's software.")
        @Argument(completion: .machines) var machine: String
        @OptionGroup var waiting: WaitOptions
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
                    let before = try await client.machine(machine).generation
                    let view = try await client.instruct(machine: machine, .restart)
                    return try await waiting.until(view, client, "verified") { found in
                        found.id == view.id && found.verified && found.generation > before
                    }
                })
        }
    }

    struct Replace: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Release a machine and launch another in its place.")
        @Argument(completion: .machines) var machine: String
        @OptionGroup var waiting: WaitOptions
        @OptionGroup var confirmation: Confirmation
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions
        func run() async throws {
            try output.show(
                try await location.with { client in
                    try await confirmation.require("Replace \(machine)") {
                        try await Stakes(ofMachine: machine, client).line + "; its data go with it"
                    }
                    let view = try await client.instruct(machine: machine, .replace)
                    return try await waiting.until(view, client, "verified") { found in
                        found.id != view.id && found.phase == .joined && found.verified
                    }
                })
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take a machine's key away: it gets no order any more.")
        @Argument(completion: .machines) var machine: String
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
                ("platform", machine.platform), ("state", machine.shownState),
                ("since", "\(machine.since)"), ("software", software ?? "none"),
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
