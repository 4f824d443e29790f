import ArgumentParser
import Client
import Fleet

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

    struct Stop: GroupInstructionCommand {
        static let configuration = CommandConfiguration(abstract: "Stop a group's software and release its machines.")
        static let instruction = TrunklineClient.GroupInstruction.stop
        @Argument var group: String
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions
    }

    struct Restart: GroupInstructionCommand {
        static let configuration = CommandConfiguration(abstract: "Restart the software of every machine.")
        static let instruction = TrunklineClient.GroupInstruction.restart
        @Argument var group: String
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions
    }

    struct Rollback: GroupInstructionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make what the revision before said the record again.")
        static let instruction = TrunklineClient.GroupInstruction.rollback
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
