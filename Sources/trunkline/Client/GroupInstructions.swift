import ArgumentParser
import Client
import Fleet
import Foundation

/// The verbs that take a group's name and say what to do with it.
protocol GroupInstructionCommand: AsyncParsableCommand {
    var group: String { get }
    var location: ManagerLocation { get }
    var output: OutputOptions { get }
    /// Nil: there is nothing to wait for.
    var waiting: WaitOptions? { get }
    static var instruction: TrunklineClient.GroupInstruction { get }
}

extension GroupInstructionCommand {
    var waiting: WaitOptions? { nil }
}

extension GroupInstructionCommand {
    func run() async throws {
        try output.show(
            try await location.with { client in
                let view = try await client.instruct(group: group, Self.instruction)
                return try await waiting?.verified(view, client) ?? view
            })
    }
}

extension GroupCommand {
    struct Start: GroupInstructionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Start a group: launch its machines and deliver its software.")
        static let instruction = TrunklineClient.GroupInstruction.start
        @Argument(completion: .groups) var group: String
        @OptionGroup var waits: WaitOptions
        var waiting: WaitOptions? { waits }
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions
    }

    struct Stop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop a group's software; its machines keep their places and data.",
            discussion: """
                Calls on them end. With --release launched machines go back to their platform, and their data with them. Asks at a \
                terminal; elsewhere it takes --yes.
                """)
        @Argument(completion: .groups) var group: String
        @Flag(help: "Give launched machines back to their platform, and their data with them.") var release = false
        @OptionGroup var waiting: WaitOptions
        @OptionGroup var confirmation: Confirmation
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let view = try await location.with { client in
                let stakes = try await Stakes(ofGroup: group, client)
                let launched = stakes.launched
                try await confirmation.require("Stop \(group)") {
                    stakes.line + (release && launched.count > 0 ? "; \(launched.goBack)" : "")
                }
                let view = try await client.stop(group: group, release: release)
                Note.line("\(group): stopped\(launched.afterStop(release: release))")
                return try await waiting.stopped(view, client)
            }
            try output.show(view)
        }
    }

    struct Restart: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Restart the software of every machine, in waves, each under the record's drain.",
            discussion: "Asks at a terminal; elsewhere it takes --yes.")
        @Argument(completion: .groups) var group: String
        @OptionGroup var waiting: WaitOptions
        @OptionGroup var confirmation: Confirmation
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            try output.show(
                try await location.with { client in
                    try await confirmation.require("Restart \(group)") {
                        let stakes = try await Stakes(ofGroup: group, client)
                        return "\(stakes.line); in waves, \(stakes.drained)"
                    }
                    return try await waiting.verified(try await client.instruct(group: group, .restart), client)
                })
        }
    }

    struct Pause: GroupInstructionCommand {
        static let configuration = CommandConfiguration(abstract: "Let no rule of the group act until it is resumed.")
        static let instruction = TrunklineClient.GroupInstruction.pause
        @Argument(completion: .groups) var group: String
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions
    }

    struct Resume: GroupInstructionCommand {
        static let configuration = CommandConfiguration(abstract: "Let the rules of a paused group act again.")
        static let instruction = TrunklineClient.GroupInstruction.resume
        @Argument(completion: .groups) var group: String
        @OptionGroup var waits: WaitOptions
        var waiting: WaitOptions? { waits }
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions
    }
}
