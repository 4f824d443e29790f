import Bundles
import Client
import Fleet
import Foundation
import GroupLanguage
import Simulator

/// The group of a simulation, and what had to be made for it.
struct SimulatedGroup {
    let name: String
    /// The digest that its machines are to run.
    let digest: String
    /// What they are to run after a switch, and the record that says so; nil: there is none.
    let next: (digest: String, record: String)?
    /// What was made here, and stays: in words.
    var left: [String]

    static let software = "simulated"

    /// Runs `body` with a group that has room for so many machines more, and a ticket for them.
    static func with(
        _ name: String, of machines: Int, size: Int, heartbeat: TimeSpan, switches: Bool, remove: Bool,
        confirmation: Confirmation, _ client: TrunklineClient,
        _ body: (SimulatedGroup, BootTicket) async throws -> SimulationReport
    ) async throws -> SimulationReport {
        let ttl = TimeSpan.hours(24)
        if try await client.hasGroup(name) {
            guard !switches else {
                throw Failure(
                    "--switch-after gives the group other software, and \(name) is there already: name another with --group, or change it yourself meanwhile"
                )
            }
            let group = try await existing(name, machines, confirmation, client)
            let ticket = try await client.invite(to: name, InvitationRequest(uses: machines, ttl: ttl))
            return try await body(group, ticket)
        }
        var made: [SoftwareReference] = []
        func pushed(_ number: Int) async throws -> SoftwareView {
            let reference = SoftwareReference(name: software, version: "\(number).\(size)")
            let isThere = try await client.allSoftware().contains {
                $0.name == software && $0.version == reference.version
            }
            let view = try await push(reference, size: size, client)
            if !isThere { made.append(reference) }
            return view
        }
        let first = try await pushed(1)
        let second = switches ? try await pushed(2) : nil
        func record(_ view: SoftwareView) -> String {
            """
            group "\(name)" {
              service   = simulated
              software  = "\(view.name)@\(view.version)"
              heartbeat = \(heartbeat)
              machines { count = \(machines)  platform = none }
              rollout { batch = 100%  settle = 0s  max_failed = \(machines) }
              rule "deliver what the record says" { when software.digest != group.digest then deliver }
            }
            """
        }
        _ = try await client.createGroup(record(first))
        _ = try await client.instruct(group: name, .start)
        func takeAway() async throws {
            try await client.removeGroup(name, force: true)
            for reference in made { try await client.removeSoftware(reference) }
        }
        do {
            let left =
                remove
                ? []
                : [
                    "group \(name) and its machines (trunkline group rm \(name) --force)"
                ] + made.map { "software \($0) (trunkline software rm \($0))" }
            let group = SimulatedGroup(
                name: name, digest: first.digest, next: second.map { ($0.digest, record($0)) }, left: left)
            let ticket = try await client.invite(to: name, InvitationRequest(uses: machines, ttl: ttl))
            let report = try await body(group, ticket)
            if remove { try await takeAway() }
            return report
        } catch {
            if remove { try? await takeAway() } else { Note.line("\(name) was made, and is left") }
            throw error
        }
    }

    /// One that somebody else made: it is only used, and asked for first where machines are in it.
    private static func existing(
        _ name: String, _ machines: Int, _ confirmation: Confirmation, _ client: TrunklineClient
    ) async throws -> SimulatedGroup {
        let view = try await client.group(name)
        let definition: GroupDefinition
        do { definition = try GroupLanguage.group(from: view.text, as: .stored) } catch {
            throw Failure("the record of \(name) can't be read: \(error)")
        }
        guard definition.machines.platform == .none else {
            throw Failure(
                "\(name) has machines of platform \(definition.machines.platform), and simulated ones join by invitation: name a group with platform = none, or one that is not there yet"
            )
        }
        guard view.state == .running else {
            throw Failure("\(name) does not run; start it with: trunkline group start \(name)")
        }
        // Those too that are away: their places are theirs.
        let present = try await client.allMachines(group: name).count
        guard present + machines <= view.status.desired else {
            throw Failure(
                "\(name) has \(present.of("machine")) and wants \(view.status.desired): there is no room for \(machines) more. Raise its count, take fewer, remove it if an earlier simulation left it (trunkline group rm \(name) --force), or name another with --group"
            )
        }
        if present > 0 {
            try await confirmation.require("Add \(machines.of("simulated machine")) to \(name)") {
                "\(name): \(present.of("machine")) in it now, which simulated ones would join"
            }
        }
        return SimulatedGroup(
            name: name, digest: try await client.software(definition.software).digest, next: nil,
            left: ["\(machines.of("machine")) of group \(name), away from now on"])
    }

    /// The same version and size are the same bytes, so that pushing them again changes nothing.
    private static func push(
        _ reference: SoftwareReference, size: Int, _ client: TrunklineClient
    ) async throws -> SoftwareView {
        let folder = FileManager.default.temporaryDirectory.appending(path: "trunkline-\(UUID().uuidString)")
        let source = folder.appending(path: "source")
        try FileManager.default.createDirectory(at: source, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try """
        software "\(reference.name)" {
          version = "\(reference.version)"
          service = simulated
          run     = ["./run.sh"]
        }
        """.write(to: source.appending(path: SoftwareManifest.fileName), atomically: true, encoding: .utf8)
        let script = source.appending(path: "run.sh")
        try "#!/bin/sh\nexec sleep 1000000\n".write(to: script, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: script.path)
        var dice = Dice(seed: UInt64(reference.version.utf8.reduce(0) { ($0 &* 31) &+ Int($1) }.magnitude))
        let words = (0..<size / 8).map { _ in dice.next() }
        try words.withUnsafeBytes { Data($0) }.write(to: source.appending(path: "padding.bin"))
        let packed = folder.appending(path: "packed").path
        do { try BundleWriter.pack(directory: source.path, to: packed) } catch {
            throw Failure("software of \(size.bytes) can't be packed: \(error)")
        }
        return try await client.pushSoftware(reference, bundleAt: packed)
    }
}
