import CMosquitto
import Client
import Fleet
import Foundation
import Simulator
import Synchronization
import TestSupport

/// What a fleet costs when something dies: the manager, the broker, a machine.
func troubleRows(_ site: Site, machines count: Int, _ wanted: Set<String>) async throws -> [Row] {
    let name = "\(count) machines"
    _ = try await site.push("fleet", version: "1")
    let few = try await site.group("few", software: "fleet@1", count: 10, heartbeat: "10s")
    let many = try await site.group("fleet", software: "fleet@1", count: count, heartbeat: "10s")
    let handful = try SimulatedFleet(.init(ticket: few, behaviours: Array(repeating: .steady, count: 10), seed: 2))
    let fleet = try SimulatedFleet(.init(ticket: many, behaviours: Array(repeating: .steady, count: count), seed: 1))
    // Before there are a thousand files: libmosquitto waits with select(2).
    let listener = try BareClient("wills", port: site.broker.port)
    var rows: [Row] = []
    do {
        for fleet in [handful, fleet] { try await fleet.start() }
        try await all(of: fleet, "run") { $0.settled == count }
        try await all(of: handful, "run") { $0.settled == 10 }
        try await site.rest()
        if wanted.contains("dead") { rows += try await deadRows(site, listener, handful, fleet, count) }
        if wanted.contains("manager-killed") { rows += try await managerRows(site, fleet, name, count) }
        if wanted.contains("broker-killed") { rows += try await brokerRows(site, fleet, name, count) }
        for fleet in [handful, fleet] { try await fleet.end() }
    } catch {
        for fleet in [handful, fleet] { try? await fleet.end() }
        throw error
    }
    return rows
}

/// SIGKILL, and started again at once.
private func managerRows(_ site: Site, _ fleet: SimulatedFleet, _ name: String, _ count: Int) async throws -> [Row] {
    let before = try await Course(site, fleet)
    let start = ContinuousClock.now
    try site.restartManager()
    func until(_ what: String, _ isSo: () async throws -> Bool) async throws -> Duration {
        // Nobody answers at first.
        let done = try await eventually(within: .seconds(120), every: .milliseconds(10)) {
            do { return try await isSo() } catch { return false }
        }
        guard done else { throw BenchError("the manager, killed, is not back: \(what)") }
        return .now - start
    }
    let ready = try await until("ready") { try await site.client.isReady() }
    let out = try await until("every order out") {
        try await site.metric("trunkline_orders_published_total") >= count + 10
    }
    try await site.rest()
    return [
        Row("\(name), manager killed: in control again", ready, .seconds, goal: .atMost(0.5)),
        Row("\(name), manager killed: every order out", out, .seconds, goal: .atMost(3)),
        Row(
            "\(name), manager killed: of these harmed", Double(try await before.harmed(site, fleet)), .none,
            goal: .atMost(0)),
    ]
}

/// SIGKILL, and started again at once, without anything that was retained.
private func brokerRows(_ site: Site, _ fleet: SimulatedFleet, _ name: String, _ count: Int) async throws -> [Row] {
    let before = try await Course(site, fleet)
    let orders = try await site.metric("trunkline_orders_published_total")
    await site.broker.kill()
    let start = ContinuousClock.now
    try await site.broker.restart(keepingPersistence: false)
    try await all(of: fleet, "connect again") { $0.connected == count }
    let connected = ContinuousClock.now - start
    let done = try await eventually(within: .seconds(120), every: .milliseconds(50)) {
        guard try await site.metric("trunkline_orders_published_total") >= orders + count + 10 else { return false }
        return try await site.client.group("fleet").status.verified == count
    }
    guard done else { throw BenchError("after the broker's end not all are verified") }
    let verified = ContinuousClock.now - start
    try await site.rest()
    return [
        Row("\(name), broker killed: all connected again", connected, .seconds),
        Row("\(name), broker killed: all orders out, all verified", verified, .seconds, goal: .atMost(10)),
        Row(
            "\(name), broker killed: of these harmed", Double(try await before.harmed(site, fleet)), .none,
            goal: .atMost(0)),
    ]
}

/// What must not change in trouble that is not the machines' own.
private struct Course {
    var generations: [String: Int] = [:]
    var event: Int64

    init(_ site: Site, _ fleet: SimulatedFleet) async throws {
        for member in try await fleet.members() { generations[member.id] = member.generation }
        event = try await site.client.events(group: nil, machine: nil, after: 0, limit: 1, last: 1).items.last?.id ?? 0
    }

    /// Machines that were told to do something, run something else, or were taken for away.
    func harmed(_ site: Site, _ fleet: SimulatedFleet) async throws -> Int {
        var harmed = Set(
            try await fleet.members().filter { generations[$0.id] != $0.generation || $0.runs == nil }.map(\.id))
        var after = event
        while true {
            let page = try await site.client.events(
                group: nil, machine: nil, kind: "machine.away,machine.released,machine.ordered", after: after,
                limit: 1000)
            harmed.formUnion(page.items.compactMap(\.machine))
            guard let next = page.next.flatMap(Int64.init) else { return harmed.count }
            after = next
        }
    }
}

/// From the end of a machine's connection to what the manager says of it, beside the broker's last will as anybody hears it.
private func deadRows(
    _ site: Site, _ listener: BareClient, _ handful: SimulatedFleet, _ fleet: SimulatedFleet, _ count: Int
) async throws -> [Row] {
    let times = try await deaths([(handful, 10), (fleet, min(count, 30))], at: site, heard: listener)
    let (small, large) = (times[0], times[1])
    try await all(of: fleet, "come back") { $0.connected == count }
    try await site.rest()
    return [
        Row(
            "dead machine noticed, of 10 and of \(count), p50", baseline: percentile(small.noticed, 0.5),
            percentile(large.noticed, 0.5), .milliseconds, goal: .ratioAtMost(1.5)),
        Row(
            "dead machine noticed, of \(count), p50, beside the broker's will", baseline: percentile(large.will, 0.5),
            percentile(large.noticed, 0.5), .milliseconds),
    ]
}

/// How long it took of so many machines of each fleet, one after another; each comes back after 3 s.
func deaths(
    _ fleets: [(fleet: SimulatedFleet, number: Int)], at site: Site, heard listener: BareClient
) async throws -> [(will: [Duration], noticed: [Duration])] {
    let (wills, noticed) = (Sightings(), Sightings())
    listener.onArrival { message in
        let topic = String(cString: message.pointee.topic).split(separator: "/")
        if topic.count == 5 { wills.note(String(topic[3])) }
    }
    let client = site.client
    let newest = try await client.events(group: nil, machine: nil, after: 0, limit: 1, last: 1).items.last?.id ?? 0
    let reading = Task {
        for try await event in client.eventStream(group: nil, machine: nil, kind: "machine.away", after: newest) {
            if let machine = event.machine { noticed.note(machine) }
        }
    }
    defer { reading.cancel() }
    var all: [(will: [Duration], noticed: [Duration])] = []
    for (fleet, number) in fleets {
        let members = try await fleet.members()
        var times: (will: [Duration], noticed: [Duration]) = ([], [])
        for index in 0..<number {
            let id = members[index].id
            try await listener.subscribe("trunkline/+/machines/\(id)/status", qos: 1)
            // What it says by itself is no will.
            wills.forget(id)
            let start = ContinuousClock.now
            try await fleet.cut(index, for: .seconds(3))
            guard let will = try await wills.when(id) else { throw BenchError("\(id) left no will") }
            guard let seen = try await noticed.when(id) else { throw BenchError("nobody noticed that \(id) is gone") }
            times.will.append(will - start)
            times.noticed.append(seen - start)
        }
        all.append(times)
    }
    return all
}

/// When each was seen.
private final class Sightings: Sendable {
    private let times = Mutex<[String: ContinuousClock.Instant]>([:])

    func note(_ id: String) { times.withLock { times in if times[id] == nil { times[id] = .now } } }
    func forget(_ id: String) { times.withLock { $0[id] = nil } }

    func when(_ id: String) async throws -> ContinuousClock.Instant? {
        _ = try await eventually(within: .seconds(30), every: .milliseconds(1)) {
            self.times.withLock { $0[id] != nil }
        }
        return times.withLock { $0[id] }
    }
}
