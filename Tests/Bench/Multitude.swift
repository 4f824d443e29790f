import Client
import Fleet
import Foundation
import Simulator

/// So many simulated machines, in as few groups as they fit into.
struct Multitude: Sendable {
    struct Part: Sendable {
        var group: String
        var machines: Int
        var fleet: SimulatedFleet
    }

    let parts: [Part]
    private let heartbeat: String
    private let rollout: String

    /// Makes and starts their groups; no machine comes yet.
    init(_ count: Int, at site: Site, software: String, heartbeat: String, rollout: String) async throws {
        var parts: [Part] = []
        while parts.reduce(0, { $0 + $1.machines }) < count {
            let machines = min(MachineSet.most, count - parts.count * MachineSet.most)
            let group = parts.isEmpty ? "fleet" : "fleet-\(parts.count + 1)"
            let ticket = try await site.group(
                group, software: software, count: machines, heartbeat: heartbeat, rollout: rollout)
            let fleet = try SimulatedFleet(
                .init(
                    ticket: ticket, behaviours: Array(repeating: .steady, count: machines),
                    seed: UInt64(parts.count + 1)))
            parts.append(Part(group: group, machines: machines, fleet: fleet))
        }
        self.parts = parts
        self.heartbeat = heartbeat
        self.rollout = rollout
    }

    func start() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for part in parts { group.addTask { try await part.fleet.start() } }
            try await group.waitForAll()
        }
    }

    /// Until it is so of each group and its number of machines.
    func come(to what: String, _ isDone: @escaping @Sendable (SimulatedFleet.Standing, Int) -> Bool) async throws {
        for part in parts { try await all(of: part.fleet, what) { isDone($0, part.machines) } }
    }

    /// Changes every group's record; returns when the last change was answered.
    func change(at site: Site, from digest: String, to software: String) async throws {
        for part in parts {
            part.fleet.noteSwitch(from: digest)
            let record = Site.record(
                part.group, software: software, count: part.machines, heartbeat: heartbeat, rollout: rollout)
            _ = try await site.client.changeGroup(part.group, to: record)
        }
    }

    var lastRegistration: Duration { parts.map(\.fleet.tally.now.lastRegistration).max() ?? .zero }
    var longestSwitch: Duration { parts.compactMap { $0.fleet.tally.now.switches.values.max() }.max() ?? .zero }

    func end() async throws { for part in parts { try await part.fleet.end() } }
}
