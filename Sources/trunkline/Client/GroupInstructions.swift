import ArgumentParser
import Client
import Fleet
import Foundation

/// The verbs that take a group's name and say what to do with it.
protocol GroupInstructionCommand: AsyncParsableCommand {
    var group: String { get }
    var location: ManagerLocation { get }
    var output: OutputOptions { get }
    static var instruction: TrunklineClient.GroupInstruction { get }
}

extension GroupInstructionCommand {
    func run() async throws {
        try output.show(try await location.with { try await $0.instruct(group: group, Self.instruction) })
    }
}

extension GroupCommand {
    struct Start: GroupInstructionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Start a group: launch its machines and deliver its software.")
        static let instruction = TrunklineClient.GroupInstruction.start
        @Argument var group: String
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions
    }

    struct Stop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop a group's software; its machines keep their places and data.",
            discussion: "With --release launched machines go back to their platform, and their data with them.")
        @Argument var group: String
        @Flag(help: "Give launched machines back to their platform, and their data with them.") var release = false
        @OptionGroup var assent: Assent
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let view = try await location.with { client in
                let machines = try await LaunchedMachines(of: group, client)
                if release, machines.count > 0 { try assent.ask("\(machines.goBack); stop \(group)?") }
                let view = try await client.stop(group: group, release: release)
                Note.line("\(group): stopped\(machines.afterStop(release: release))")
                return view
            }
            try output.show(view)
        }
    }

    struct Restart: GroupInstructionCommand {
        static let configuration = CommandConfiguration(abstract: "Restart the software of every machine.")
        static let instruction = TrunklineClient.GroupInstruction.restart
        @Argument var group: String
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions
    }

    struct Pause: GroupInstructionCommand {
        static let configuration = CommandConfiguration(abstract: "Let no rule of the group act until it is resumed.")
        static let instruction = TrunklineClient.GroupInstruction.pause
        @Argument var group: String
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions
    }

    struct Resume: GroupInstructionCommand {
        static let configuration = CommandConfiguration(abstract: "Let the rules of a paused group act again.")
        static let instruction = TrunklineClient.GroupInstruction.resume
        @Argument var group: String
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions
    }
}

/// `--yes`
struct Assent: ParsableArguments {
    @Flag(name: .shortAndLong, help: "Do not ask.") var yes = false

    /// Asks where a person sits at a terminal; a script is taken at its word.
    func ask(_ question: String) throws {
        guard !yes, isatty(STDIN_FILENO) == 1, Terminal.isError else { return }
        Note.write("\(question) [y/N] ")
        guard ["y", "yes"].contains(readLine()?.lowercased()) else { throw Failure("nothing was changed") }
    }
}

/// What a platform has for a group, for people who are about to give it back.
struct LaunchedMachines {
    var count: Int
    private var platforms: String

    init(of group: String, _ client: TrunklineClient) async throws {
        // A group that is gone already may have left machines with its platform; the manager says so where that matters.
        let known = try await client.hasGroup(group) ? try await client.allMachines(group: group) : []
        let machines = known.filter { $0.platform != "none" }
        count = machines.count
        platforms = Set(machines.map(\.platform)).sorted().joined(separator: " and ")
    }

    private var name: String { count == 1 ? "1 machine" : "\(count) machines" }

    var goBack: String { "\(name) and all data of \(count == 1 ? "it" : "them") go back to \(platforms)" }

    func afterStop(release: Bool) -> String {
        guard count > 0 else { return "" }
        return release
            ? "; \(goBack)"
            : "; \(name) on \(platforms) \(count == 1 ? "keeps its place" : "keep their places") and data (--release gives them back)"
    }
}
