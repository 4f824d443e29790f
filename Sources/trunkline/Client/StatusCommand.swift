import ArgumentParser
import Client
import Fleet
import Foundation

/// `trunkline status`
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Say how the manager and its groups are, and what waits for a person; exit with 1 if it is not ready."
    )
    @OptionGroup var location: ManagerLocation
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let (status, caller) = try await location.with { (try await $0.status(), try await $0.whoami()) }
        let phases = GroupStatusView.Phase.allCases.compactMap { phase in
            status.groups[phase.rawValue].map { "\($0) \(phase.rawValue)" }
        }
        let machines = status.machines
        let known =
            "\(machines.present) present, \(machines.verified) verified, \(machines.failed) failed, \(machines.away) away"
        try output.show(
            status, name: status.isReady ? "ready" : "not ready",
            lines: [
                ("manager", "\(status.version), \(status.isReady ? "ready" : "not ready")"),
                ("missing", status.missing?.forPeople() ?? ""),
                ("broker", status.isConnected ? "connected" : "not connected"),
                ("boot broker", status.isBootConnected ? "connected" : "not connected: no new machine joins"),
                ("groups", phases.isEmpty ? "none" : phases.joined(separator: ", ")), ("machines", known),
                ("you", "\(caller.name), \(caller.role.rawValue)\(caller.groups.map { " of groups \($0)" } ?? "")"),
                ("authority", status.authorityExpires.map { "until \($0)" } ?? "none: a plain broker"),
            ] + status.attention.map { ("waits", "\($0.group): \($0.what)".forPeople()) })
        if !status.isReady { throw ExitCode(1) }
    }
}

/// `trunkline version`
struct VersionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Print the version of this program, and of the manager where one is found.")
    @OptionGroup var location: ManagerLocation
    @OptionGroup var output: OutputOptions

    private struct Versions: Codable {
        var client: String
        var manager: String?
    }

    func run() async throws {
        var versions = Versions(client: Version.text)
        do { versions.manager = try await location.with { try await $0.status().version } } catch {
            if !output.quiet { Note.line("\(error)") }
        }
        try output.show(
            versions, name: Version.text,
            lines: [("trunkline", Version.text), ("manager", versions.manager?.forPeople() ?? "not reached")])
    }
}
