import Client
import Fleet
import Foundation
import Simulator
import TestSupport

/// What so many simulated machines cost the manager: when all come at once, when all is well, and when all change. The simulator and the broker
/// share the processors with it.
func fleetRows(_ site: Site, machines count: Int, _ wanted: Set<String>) async throws -> [Row] {
    // Goals are for 10,000 machines.
    let share = Double(count) / 10_000
    let name = "\(count) machines"
    let drift = wanted.contains("drift among them") ? try DriftClients(site) : nil
    let wills = wanted.contains("dead among them") ? try BareClient("listener of wills", port: site.broker.port) : nil
    let first = try await site.push("fleet", version: "1")
    let rollout = "batch = 100%  settle = 0s  max_failed = \(min(count, MachineSet.most))"
    let crowd = try await Multitude(count, at: site, software: "fleet@1", heartbeat: "10s", rollout: rollout)
    let memory = try Memory(of: site.manager)
    var cpu = try CPU(of: site.manager)
    var rows: [Row] = []
    do {
        try await crowd.start()
        try await crowd.come(to: "register") { $0.registered == $1 }
        let took = crowd.lastRegistration
        let registration = try CPU(of: site.manager).since(cpu)
        if wanted.contains("registration") {
            rows += [
                Row("\(name) register at once", took, .seconds, goal: .atMost(12 * share)),
                Row(
                    "\(name) register, manager's CPU each", registration.inSeconds * 1000 / Double(count), .milliseconds
                ),
            ]
        }
        try await crowd.come(to: "run") { $0.settled == $1 }
        if !wanted.isSubset(of: ["registration"]) { try await site.rest() }
        if wanted.contains("memory") {
            let grown = Double(try Memory(of: site.manager).bytes - memory.bytes)
            rows.append(
                Row("\(name), manager's memory each", grown / 1024 / Double(count), .kibibytes, goal: .atMost(4)))
        }
        if wanted.contains("idle") {
            cpu = try CPU(of: site.manager)
            let (start, span) = (ContinuousClock.now, Duration.seconds(20))
            try await Task.sleep(for: span)
            let used = try CPU(of: site.manager).since(cpu)
            rows.append(
                Row(
                    "\(name) idle, heartbeat 10 s, of a core", 100 * (used / (.now - start)), .percent,
                    goal: .atMost(4 * share)))
        }
        if let drift { rows += try await driftRows(site, by: drift) }
        if let wills {
            let part = crowd.parts[0]
            let times = try await deaths([(part.fleet, min(part.machines, 30))], at: site, heard: wills)[0]
            rows.append(
                Row("\(name), one of them dead: noticed, p50", percentile(times.noticed, 0.5), .milliseconds))
            try await crowd.come(to: "come back") { $0.connected == $1 }
            try await site.rest()
        }
        if wanted.contains("switch") {
            rows += try await switchRows(site, crowd, from: first.digest, count)
        }
        try await crowd.end()
    } catch {
        try? await crowd.end()
        throw error
    }
    return rows
}

private func switchRows(_ site: Site, _ crowd: Multitude, from digest: String, _ count: Int) async throws -> [Row] {
    let share = Double(count) / 10_000
    let name = "\(count) machines switch"
    // Two parts.
    let second = try await site.push("fleet", version: "2", padding: 400_000)
    let cpu = try CPU(of: site.manager)
    let database = site.databaseSize
    let parts = try await site.metric("trunkline_parts_published_total")
    let start = ContinuousClock.now
    try await crowd.change(at: site, from: digest, to: "fleet@2")
    let answered = ContinuousClock.now - start
    try await crowd.come(to: "switch") { $0.running[second.digest] == $1 }
    let used = try CPU(of: site.manager).since(cpu)
    let took = crowd.longestSwitch
    let sent = try await site.metric("trunkline_parts_published_total") - parts
    // What is in the log only for a moment is not what it leaves.
    try await site.rest()
    return [
        Row("\(name) in one wave", took, .seconds, goal: .atMost(8 * share)),
        Row("\(name), until the change is answered", answered, .milliseconds),
        Row("\(name), manager's CPU each", used.inSeconds * 1000 / Double(count), .milliseconds, goal: .atMost(1)),
        Row(
            "\(name), sendings of a part", Double(sent) / Double((second.size + 262_143) / 262_144), .none,
            goal: .atMost(3)),
        Row(
            "\(name), database grows by", Double(site.databaseSize - database) / 1_048_576, .mebibytes,
            goal: .atMost(8 * share)),
    ]
}

func all(
    of fleet: SimulatedFleet, _ what: String, _ isDone: @escaping @Sendable (SimulatedFleet.Standing) -> Bool
) async throws {
    let done = try await eventually(within: .seconds(180), every: .milliseconds(100)) {
        isDone(try await fleet.standing())
    }
    guard done else { throw BenchError("not all machines came to \(what): \(try await fleet.standing())") }
}

extension Site {
    /// A counter of the manager's.
    func metric(_ name: String) async throws -> Int {
        let line = try await client.metrics().split(separator: "\n").first { $0.hasPrefix(name + " ") }
        guard let line, let value = Int(line.split(separator: " ")[1]) else {
            throw BenchError("there is no metric \(name)")
        }
        return value
    }

    /// Returns when nobody says anything new any more: for five seconds nothing was committed.
    func rest() async throws {
        var (commits, since) = (-1, ContinuousClock.now)
        let isQuiet = try await eventually(within: .seconds(120), every: .milliseconds(500)) {
            let now = try await metric("trunkline_commits_total")
            if now != commits { (commits, since) = (now, .now) }
            return .now - since >= .seconds(5)
        }
        guard isQuiet else { throw BenchError("the manager comes to no rest") }
    }

    /// Bytes, with what is not merged into it yet.
    var databaseSize: Int {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.path + "/data")) ?? []
        return names.filter { $0.contains(".sqlite") || $0.contains(".db") }.reduce(0) { sum, name in
            let path = directory.path + "/data/" + name
            return sum + ((try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? nil ?? 0)
        }
    }
}
