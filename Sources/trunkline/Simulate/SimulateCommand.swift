import ArgumentParser
import Client
import Fleet
import Foundation
import GroupLanguage
import Simulator

/// `trunkline simulate`
struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Simulated machines over the real wire, against any manager and broker; ends with a report.",
        discussion: """
            Each machine is a real connection with the broker that the manager's invitation names, with TLS and a certificate of its own \
            where the broker has TLS. It registers, opens its orders, reads the parts of software, and reports; it runs nothing.
              trunkline simulate --machines 1000 --behave slow=5%,flapping=2%,failing=1%,losing=1% --seed 7
            Behaviours: steady (what is left), slow (takes seconds to start), flapping (its check passes and fails in turns), failing \
            (can't run other software than its first), garbage (also says what nobody can believe), losing (its network breaks), cloned \
            (another machine has its identity). The same seed gives the same machines the same behaviour.
            While it goes on some machines say that they run something else: the time to the order that mends it is measured.
            The group is made here unless it is there: then it takes machines of one's own (platform = none), runs, and has room. What was \
            made stays, and is named at the end, unless --remove is given. Machines take an open file each.
            Exit status: 1 where something that was expected did not come, else 0; Ctrl-C ends it with its report.
            """)

    @Option(help: ArgumentHelp("How many.", valueName: "count")) var machines = 100
    @Option(help: ArgumentHelp("Their group; made, and started, where it is not there.", valueName: "name"))
    var group = "simulated"
    @Option(
        help: ArgumentHelp("How many are what, such as slow=5%,failing=3; the rest is steady.", valueName: "mix"))
    var behave: BehaviourMix?
    @Option(help: ArgumentHelp("Which of them are what.", valueName: "number")) var seed: UInt64 = 1
    @Option(name: .customLong("for"), help: "How long it goes on once all have joined.") var span = TimeSpan.seconds(30)
    @Option(help: "Spread their coming over so long; all at once unless given.") var over = TimeSpan.zero
    @Option(help: "How long to wait for all of them to join, or to switch.") var within = TimeSpan.minutes(5)
    @Option(help: "Of a group that is made here.") var heartbeat = TimeSpan.seconds(10)
    @Option(help: ArgumentHelp("Of the software that is made here, such as 64KB or 50MB.", valueName: "bytes"))
    var size = ByteCount(64_000)
    @Option(help: ArgumentHelp("How many say that they run something else meanwhile.", valueName: "count"))
    var drifts = 100
    @Option(help: ArgumentHelp("Cut all off at once, as a power failure does, so long after.", valueName: "time"))
    var rebootAllAfter: TimeSpan?
    @Option(help: ArgumentHelp("Give the group other software so long after.", valueName: "time"))
    var switchAfter: TimeSpan?
    @Flag(help: "Remove at the end the group and the software that were made here.") var remove = false
    @OptionGroup var confirmation: Confirmation
    @OptionGroup var location: ManagerLocation
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (1...MachineSet.most).contains(machines) else {
            throw ValidationError("--machines takes 1 to \(MachineSet.most), the most that a group has")
        }
        guard group.utf8.count <= Name.longestOfGroup, Name.isValid(group) else {
            throw ValidationError("--group: \"\(group)\" is no name of a group (a-z, 0-9 and -)")
        }
        guard drifts >= 0 else { throw ValidationError("--drifts takes a number from 0 on") }
        guard (100...86_400_000).contains(heartbeat.milliseconds) else {
            throw ValidationError("--heartbeat takes 100ms to 1d")
        }
        for (name, at) in [("reboot-all-after", rebootAllAfter), ("switch-after", switchAfter)] {
            if let at, at > span { throw ValidationError("--\(name) \(at) is after the end (--for \(span))") }
        }
        do { _ = try mix.dealt(to: machines, seed: seed) } catch { throw ValidationError("--behave: \(error)") }
    }

    private var mix: BehaviourMix { behave ?? BehaviourMix() }

    func run() async throws {
        let behaviours = try mix.dealt(to: machines, seed: seed)
        let report = try await location.with { client in
            try await SimulatedGroup.with(
                group, of: machines, size: size.bytes, heartbeat: heartbeat, switches: switchAfter != nil,
                remove: remove, confirmation: confirmation, client
            ) { group, ticket in
                try await Simulation(command: self, group: group, ticket: ticket, behaviours: behaviours, client).run()
            }
        }
        try output.show(report, name: report.group, lines: report.lines)
        if !report.lost.isEmpty { throw ExitCode(1) }
    }
}

extension BehaviourMix: ExpressibleByArgument {
    // What is wrong with it is said where it is parsed, and not only that it is.
    public init?(argument: String) {
        do { try self.init(argument) } catch {
            Note.line("--behave: \(error)")
            return nil
        }
    }
}

/// `64KB`, `50MB`, `800`
struct ByteCount: ExpressibleByArgument {
    var bytes: Int

    init(_ bytes: Int) { self.bytes = bytes }

    init?(argument: String) {
        let units = [("KB", 1000), ("MB", 1_000_000), ("B", 1), ("", 1)]
        guard let (suffix, factor) = units.first(where: { argument.hasSuffix($0.0) }),
            let number = Int(argument.dropLast(suffix.count)), number >= 0, number <= Self.most / factor
        else { return nil }
        bytes = number * factor
    }

    private static let most = 1_000_000_000

    var defaultValueDescription: String {
        bytes.isMultiple(of: 1_000_000)
            ? "\(bytes / 1_000_000)MB" : bytes.isMultiple(of: 1000) ? "\(bytes / 1000)KB" : "\(bytes)"
    }
}
