import Client
import Fleet
import Foundation
import Subprocess
import SystemPackage

/// The main job as a story: create, start, call, change under calls, switch, message; each step with what it took.
struct Demo: Sendable {
    let client: TrunklineClient
    let plan: SamplePlan

    func run() async throws {
        try await step("push software") {
            try await plan.pushAll(client)
            try await plan.pushVersions(client)
            return "kamailio, prosody, janus; kamailio \(SamplePlan.next), and \(SamplePlan.bad), which does not start"
        }
        try await step("create group edge") {
            let group = try await client.createGroup(try plan.text("edge"))
            return "revision \(group.revision), \(group.software)"
        }
        try await step("start it: machines launch, register their keys, receive, run") {
            _ = try await client.instruct(group: "edge", .start)
            return try await converged()
        }
        for machine in try await machines() {
            try await step("real SIP calls through \(machine.id)") {
                try await traffic("calls", port: plan.port(0, ofMachine: machine.index))
            }
        }
        try await changeUnderCalls()
        let before = try await newestEvent()
        let requested = ContinuousClock.now
        let requestedAt = Date()
        try await step("change the record: voice to messaging") {
            let (group, _) = try await client.changeGroup("edge", to: try plan.text("edge-messaging"))
            return "revision \(group.revision), \(group.software)"
        }
        try await step("every machine replaces what it runs") { try await converged() }
        let took = ContinuousClock.now - requested
        try await showSwitch(after: before, requested: requestedAt, took: took)
        for machine in try await machines() {
            try await step("a real message through \(machine.id)") {
                try await traffic("messages", port: plan.port(1, ofMachine: machine.index))
            }
        }
        StandardOutput.write(
            Terminal.paint("\nDone: calls, switch and messages went through every machine.\n", .green) + "\n")
    }

    /// A good release and a bad one, in waves, while calls go on: none of them is cut, and none refused.
    private func changeUnderCalls() async throws {
        let ports = try await machines().map { plan.port(0, ofMachine: $0.index) }
        try await step(
            "new calls all the time, through a balancer over \(ports.count) machines, until both changes are over"
        ) {
            try await LiveCalls(home: plan.home, ports: ports).run {
                try await step("a new release in waves, each machine drained first") {
                    _ = try await client.changeGroup("edge", to: try plan.text("edge", version: SamplePlan.next))
                    return try await followed(until: SamplePlan.next)
                }
                try await step("a release that does not start: the canary falls back, and the record goes back") {
                    _ = try await client.changeGroup("edge", to: try plan.text("edge", version: SamplePlan.bad))
                    let end = try await followed(until: SamplePlan.next)
                    let why = try await client.rollouts("edge").dropFirst().first?.why
                    return "\(end); \(why ?? "nobody knows why")"
                }
            }
        }
    }

    /// Follows what goes on, with its picture, until every machine is verified with the version.
    private func followed(until version: String) async throws -> String {
        let last = try await RolloutProgress(client: client, group: "edge", indent: "    ").follow()
        if !Terminal.isOutput { for line in last?.picture ?? [] { StandardOutput.line("    " + line) } }
        guard last?.phase == .done, try await machines().allSatisfy({ $0.software?.version == version && $0.verified })
        else {
            throw Failure("not every machine runs \(version): \(last?.line ?? "there was no rollout")")
        }
        return "all run \(version)"
    }

    private func step(_ title: String, _ body: () async throws -> String) async throws {
        let start = ContinuousClock.now
        StandardOutput.write(Terminal.paint("▸ ", .bold) + title + "\n")
        do {
            let result = try await body()
            let time = Terminal.paint(seconds(.now - start), .dim)
            StandardOutput.write("  " + Terminal.paint("✓", .green) + " \(result.forPeople())  \(time)\n")
        } catch {
            StandardOutput.write("  " + Terminal.paint("✗", .red) + " \("\(error)".forPeople())\n")
            throw Failure("the demo failed at: \(title)")
        }
    }

    private func seconds(_ duration: Duration) -> String {
        String(format: "%.2f s", Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18)
    }

    private func machines() async throws -> [MachineView] {
        try await client.allMachines(group: "edge").sorted { $0.index < $1.index }
    }

    private func converged() async throws -> String {
        for _ in 0..<1200 {
            let group = try await client.group("edge")
            if group.status.phase == .converged {
                return "\(group.status.verified) of \(group.status.desired) verified"
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        let states = try await machines().map { "\($0.id) \($0.state.rawValue) \($0.reason ?? "")" }
        throw Failure("not converged within 60 s: \(states.joined(separator: ", "))")
    }

    /// One of the real clients in `Config/traffic`; it exits with 0 only when everything went well, and prints one JSON line.
    private func traffic(_ name: String, port: Int) async throws -> String {
        let result = try await Subprocess.run(
            .path(FilePath("\(plan.home)/Config/traffic/\(name)")), arguments: ["127.0.0.1", "\(port)"],
            output: .string(limit: 65_536), error: .string(limit: 65_536))
        guard result.terminationStatus.isSuccess else {
            throw Failure(
                "\(name) ended with \(result.terminationStatus): \(result.standardError) \(result.standardOutput)")
        }
        return result.standardOutput.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func newestEvent() async throws -> Int64 {
        var last: Int64 = 0
        while true {
            let page = try await client.events(group: "edge", machine: nil, after: last, limit: 1000)
            last = page.items.last?.id ?? last
            if page.next == nil { return last }
        }
    }

    /// When what happened at which machine, counted from the request.
    private func showSwitch(after: Int64, requested: Date, took: Duration) async throws {
        let events = try await client.events(group: "edge", machine: nil, after: after, limit: 1000).items
        let zero = Int64(requested.timeIntervalSince1970 * 1000)
        func moment(_ machine: String, _ matches: (EventEntry) -> Bool) -> String {
            guard let event = events.first(where: { $0.machine == machine && matches($0) }) else { return "-" }
            return String(format: "+%.3f s", Double(event.at.milliseconds - zero) / 1000)
        }
        let rows = try await machines()
        let table = Table<MachineView>(columns: [
            Column("machine", \.id), Column("drained", { moment($0.id) { $0.kind == .machineDrained } }),
            Column("order", { moment($0.id) { $0.kind == .machineOrdered } }),
            Column("verified", { moment($0.id) { $0.kind == .machineVerified } }),
            Column("runs", { $0.software.map { "\($0.name)@\($0.version)" } ?? "-" }),
        ])
        StandardOutput.line("\n" + table.text(rows).split(separator: "\n").map { "    \($0)" }.joined(separator: "\n"))
        StandardOutput.line(
            "    switch requested → all verified: \(seconds(took)) (of which the record asks for 'settle')\n")
    }
}
