import ArgumentParser
import Client
import Fleet
import Foundation
import GroupLanguage

/// `--yes`, and the one place where the command line asks before it does something.
struct Confirmation: ParsableArguments {
    @Flag(name: .shortAndLong, help: "Do not ask.") var yes = false

    /// Before something that can't be taken back: asks at a terminal; elsewhere only `--yes` lets it happen, and exit status 2 says so.
    ///
    /// - Parameter losing: what will be lost, in a sentence without its stop.
    func require(_ what: String, losing: () async throws -> String) async throws {
        guard !yes else { return }
        guard Question.canBeAsked else {
            throw ValidationError("\(what): nobody can be asked here; say --yes if it is meant")
        }
        try ask("\(try await losing().forPeople()). \(what)?")
    }

    /// Before what was declared in a file is carried out: asks at a terminal; a program is taken at its word.
    func ask(ifPossible question: String) throws {
        guard !yes, Question.canBeAsked else { return }
        try ask(question)
    }

    private func ask(_ question: String) throws {
        let answer = try Question.ask("\(question) [y/N] ", otherwise: "nothing was changed")
        guard let answer, ["y", "yes"].contains(answer.trimmingCharacters(in: .whitespaces).lowercased()) else {
            throw Failure("nothing was changed")
        }
    }
}

/// What machines carry now, for people who are about to take it away.
struct Stakes {
    private var name: String
    private var machines: [MachineView]
    /// The metrics that say how much work a machine has.
    private var loads: [String]
    private var drains = false
    private var isGroup: Bool

    /// Of a group that is gone already, whose machines its platform may still have, nothing is known.
    init(ofGroup name: String, _ client: TrunklineClient) async throws {
        self.name = name
        isGroup = true
        (machines, loads) = ([], [])
        guard try await client.hasGroup(name) else { return }
        machines = try await client.allMachines(group: name)
        (loads, drains) = try await Self.loads(of: name, client)
    }

    init(ofMachine id: String, _ client: TrunklineClient) async throws {
        name = id
        isGroup = false
        let machine = try await client.machine(id)
        machines = [machine]
        (loads, drains) = try await Self.loads(of: machine.group, client)
    }

    /// What its drain waits for; without one what telephony software usually counts.
    private static func loads(of group: String, _ client: TrunklineClient) async throws -> ([String], Bool) {
        let text = try await client.group(group).text
        let drain = try? GroupLanguage.group(from: text, as: .stored).rollout.drain
        let named = (drain?.until.parts ?? []).compactMap { part in
            if case .metric(let name) = part { name } else { nil }
        }
        return (named.isEmpty ? ["calls", "sessions"] : Set(named).sorted(), drain != nil)
    }

    /// `edge: 3 machines, 1 of them away, 41 calls now`
    var line: String {
        guard !machines.isEmpty else { return "\(name): no machines" }
        var parts: [String] = []
        let away = machines.count { $0.awaySince != nil }
        if isGroup {
            parts.append(machines.count.of("machine"))
            if away > 0 { parts.append("\(away) of them away") }
        } else {
            let software = machines[0].software.map { "\($0.name)@\($0.version)" }
            parts.append(away > 0 ? "away" : software ?? machines[0].state.rawValue)
        }
        // What an absent machine said last is not what is now.
        let present = machines.filter { $0.awaySince == nil }
        for load in loads {
            let values = present.compactMap { $0.metrics[load] }
            guard !values.isEmpty else { continue }
            parts.append("\(values.reduce(0, +).short) \(load) now")
        }
        return "\(name): " + parts.joined(separator: ", ")
    }

    /// What becomes of the work when machines restart.
    var drained: String { drains ? "drained first" : "without a drain" }

    /// Machines that a platform of the manager's launched.
    var launched: LaunchedMachines { LaunchedMachines(machines) }
}

/// What platforms have for a group, for people who are about to give it back.
struct LaunchedMachines {
    var count: Int
    private var platforms: String

    init(_ machines: [MachineView]) {
        let launched = machines.filter { $0.platform != "none" }
        count = launched.count
        platforms = Set(launched.map(\.platform)).sorted().joined(separator: " and ")
    }

    private var name: String { count.of("machine") }

    var goBack: String { "\(name) and all data of \(count == 1 ? "it" : "them") go back to \(platforms)" }

    func afterStop(release: Bool) -> String {
        guard count > 0 else { return "" }
        return release
            ? "; \(goBack)"
            : "; \(name) on \(platforms) \(count == 1 ? "keeps its place" : "keep their places") and data (--release gives them back)"
    }
}
