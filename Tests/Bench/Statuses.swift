import CMosquitto
import Client
import Fleet
import Foundation
import Messaging
import Simulator
import Synchronization
import TestSupport

/// So many that none says more than its budget has at once.
private let machineCount = 1000
private let statusCount = 100_000

/// Statuses a second: the manager, which checks each MAC and compares each status with the record, against a subscriber that only counts.
/// Where they come faster than that, the newest of each machine stands for those before it, and each counts when it or a newer one was
/// compared: so the rate is of what arrives until all of it has had its effect. Each says other metrics than the one before.
func statusRows(_ site: Site) async throws -> [Row] {
    try await floodedRows(site, "statuses, other metrics each", goal: 0.7) { ["calls": Double($0 % 97)] }
}

/// The same of machines that have nothing new to say.
func settledRows(_ site: Site) async throws -> [Row] {
    try await floodedRows(site, "statuses, settled", goal: 0.9) { _ in [:] }
}

/// Statuses with other metrics each, of a group with a rule over all of its machines, beside one without.
func aggregateRows(_ site: Site) async throws -> [Row] {
    let publisher = try BareClient("publisher", port: site.broker.port)
    func cost(_ group: String, _ rule: String) async throws -> Double {
        let first = try await statuses(site, group, rule: rule, by: publisher) { ["calls": Double($0 % 97)] }
        let (before, cpu) = (try await Handled(site), try CPU(of: site.manager))
        let own = try await rate {
            for (topic, payload) in first { publisher.publish(payload, on: topic, qos: 0) }
        } count: {
            try await Handled(site).all - before.all
        }
        guard own.count > 0 else { throw BenchError("no status of \(group) was taken") }
        return try CPU(of: site.manager).since(cpu).inSeconds * 1000 / Double(own.count)
    }
    let plain = try await cost("plain", "")
    let summed = try await cost(
        "summed", #"rule "busy" { when avg(metric("calls")) > 1000 for 1h then notify("busy") }"#)
    return [
        Row(
            "statuses of \(machineCount) machines with a rule of avg(), manager's CPU each", baseline: plain, summed,
            .milliseconds, goal: .ratioAtMost(1.1))
    ]
}

/// Of a new group's machines, which run what they are to run: all that they say in so many rounds.
private func statuses(
    _ site: Site, _ group: String, rule: String = "", by publisher: BareClient, metrics: (Int) -> [String: Double]
) async throws -> [(topic: String, payload: [UInt8])] {
    let software = try await site.push(group, version: "1")
    let ticket = try await site.group(group, software: "\(group)@1", count: machineCount, rule: rule)
    let machines = try await site.paperMachines(machineCount, group: group, ticket: ticket, by: publisher)
    let running = RunningSoftware(
        name: group, version: "1", digest: software.digest, generation: 1, health: .passing,
        since: Timestamp(milliseconds: 1_767_225_600_000), restarts: 0)
    return try (0..<statusCount).map { number in
        let machine = machines[number % machineCount]
        let round = number / machineCount
        let status = try machine.status(
            session: 1, sequence: round + 1, state: .running, order: 1, software: running, metrics: metrics(round))
        return (topic: machine.statusTopic, payload: Array(status))
    }
}

private func floodedRows(
    _ site: Site, _ what: String, goal: Double, metrics: (Int) -> [String: Double]
) async throws -> [Row] {
    let publisher = try BareClient("publisher", port: site.broker.port)
    let first = try await statuses(site, "steady", by: publisher, metrics: metrics)
    let before = try await Handled(site)
    let cpu = try CPU(of: site.manager)
    let own = try await rate {
        for (topic, payload) in first { publisher.publish(payload, on: topic, qos: 0) }
    } count: {
        try await Handled(site).all - before.all
    }
    let after = try await Handled(site)
    let used = try CPU(of: site.manager).since(cpu)

    let subscriber = try BareClient("subscriber", port: site.broker.port)
    try await subscriber.subscribe("bare/+/machines/+/status", qos: 0)
    let base = subscriber.receivedCount
    let second = first.map { ("bare" + $0.topic.dropFirst("trunkline".count), $0.payload) }
    let bare = try await rate {
        for (topic, payload) in second { publisher.publish(payload, on: topic, qos: 0) }
    } count: {
        subscriber.receivedCount - base
    }
    return [
        Row(what, baseline: bare.perSecond, own.perSecond, .perSecond, goal: .ratioAtLeast(goal)),
        Row("\(what), of \(statusCount) counted", baseline: Double(bare.count), Double(own.count), .none),
        Row("\(what), of these compared themselves", Double(after.taken - before.taken), .none),
        Row("\(what), manager's CPU each", used.inSeconds * 1000 / Double(max(own.count, 1)), .milliseconds),
    ]
}

/// Statuses that the manager is done with.
private struct Handled {
    /// Compared with the record.
    var taken: Int
    /// A newer one of the machine was compared instead.
    var stoodFor: Int
    var all: Int { taken + stoodFor }

    init(_ site: Site) async throws {
        let lines = try await site.client.metrics().split(separator: "\n")
        func count(_ what: String) -> Int {
            let start = "trunkline_statuses_\(what)_total "
            return lines.first { $0.hasPrefix(start) }.flatMap { Int($0.dropFirst(start.count)) } ?? 0
        }
        taken = count("taken")
        stoodFor = count("merged") + count("passed_over")
    }
}

/// From the first publication to the last arrival.
private func rate(
    _ publish: @escaping () -> Void, count: () async throws -> Int
) async throws -> (perSecond: Double, count: Int) {
    let start = ContinuousClock.now
    publish()
    var last = (count: 0, at: start)
    while last.count < statusCount, ContinuousClock.now - last.at < .seconds(3) {
        let now = try await count()
        if now > last.count { last = (now, .now) }
        try await Task.sleep(for: .milliseconds(50))
    }
    return (Double(last.count) / (last.at - start).inSeconds, last.count)
}

/// From a drifted status to the order that mends it, against two passes through the broker with an echo in between.
func driftRows(_ site: Site) async throws -> [Row] { try await driftRows(site, by: DriftClients(site)) }

/// Connected before a process has 1,024 files open, beyond which libmosquitto's select(2) can't wait for a socket.
struct DriftClients {
    let speaker: BareClient
    let listener: BareClient
    let echo: BareClient

    init(_ site: Site) throws {
        speaker = try BareClient("speaker", port: site.broker.port)
        listener = try BareClient("listener", port: site.broker.port)
        echo = try BareClient("echo", port: site.broker.port)
    }
}

func driftRows(_ site: Site, by clients: DriftClients) async throws -> [Row] {
    let rounds = 500
    let (speaker, listener, echo) = (clients.speaker, clients.listener, clients.echo)
    let heard = Heard()
    listener.onArrival { message in
        heard.note(String(cString: message.pointee.topic), size: Int(message.pointee.payloadlen))
    }

    // The bare round trip.
    try await echo.subscribe("bench/ping", qos: 1)
    try await listener.subscribe("bench/pong", qos: 1)
    let payload = [UInt8](repeating: 0x7B, count: 500)
    echo.onArrival { message in
        if String(cString: message.pointee.topic) == "bench/ping" { echo.publish(payload, on: "bench/pong", qos: 1) }
    }
    var bare: [Duration] = []
    for _ in 0..<rounds {
        bare.append(try await heard.time("bench/pong") { speaker.publish(payload, on: "bench/ping", qos: 1) })
    }

    let software = try await site.push("drift", version: "1")
    let ticket = try await site.group("drift", software: "drift@1", count: 10)
    let machines = try await site.paperMachines(10, group: "drift", ticket: ticket, by: speaker)
    try await listener.subscribe("trunkline/drift/machines/+/order", qos: 1)
    var generations = Array(repeating: 1, count: machines.count)
    var sequences = Array(repeating: 0, count: machines.count)
    func say(_ index: Int, digest: String) throws {
        sequences[index] += 1
        let status = try machines[index].status(
            sequence: sequences[index], state: .running, order: generations[index],
            software: RunningSoftware(
                name: "drift", version: "1", digest: digest, generation: generations[index], health: .passing,
                since: Timestamp(milliseconds: 1_767_225_600_000), restarts: 0))
        speaker.publish(Array(status), on: machines[index].statusTopic, qos: 1, retained: true)
    }
    var own: [Duration] = []
    for round in 0..<rounds {
        let index = round % machines.count
        // Verified first, so that the next drift is a new one.
        try say(index, digest: software.digest)
        let id = machines[index].id
        guard try await eventually(every: .milliseconds(1), { try await site.client.machine(id).verified }) else {
            throw BenchError("\(id) was not verified")
        }
        own.append(
            try await heard.time(machines[index].orderTopic) {
                try say(index, digest: String(repeating: "0", count: 64))
            })
        generations[index] += 1
    }
    let (round, sync) = (percentile(bare, 0.5), try syncs(in: site.directory))
    let over = percentile(own, 0.5) - round
    return [
        Row("drift to order, p50", baseline: round, percentile(own, 0.5), .milliseconds),
        // Beside what the disk takes of it: nothing is ordered that is not recorded.
        Row(
            "drift to order, p50 over the round trip, beside fdatasync's", baseline: percentile(sync, 0.5), over,
            .milliseconds,
            goal: .atMost(0.8)),
        Row("drift to order, p99", baseline: percentile(bare, 0.99), percentile(own, 0.99), .milliseconds),
        Row(
            "drift to order, p99 over fdatasync's p99", percentile(own, 0.99) - percentile(sync, 0.99), .milliseconds,
            goal: .atMost(2)),
    ]
}

/// How long the disk takes for a page that is to stay.
private func syncs(in directory: URL) throws -> [Duration] {
    let descriptor = open(directory.path + "/sync", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw BenchError("no file can be made in \(directory.path)") }
    defer { close(descriptor) }
    let page = [UInt8](repeating: 0x5A, count: 4096)
    return try (0..<300).map { index in
        let start = ContinuousClock.now
        guard pwrite(descriptor, page, page.count, off_t(index * page.count)) == page.count, fdatasync(descriptor) == 0
        else { throw BenchError("the disk takes nothing") }
        return .now - start
    }
}

func percentile(_ times: [Duration], _ share: Double) -> Duration {
    times.sorted()[min(Int(Double(times.count) * share), times.count - 1)]
}

/// Waits for the next message on a topic.
final class Heard: Sendable {
    private let waiting = Mutex<(topic: String, continuation: CheckedContinuation<ContinuousClock.Instant, Never>)?>(
        nil)

    func note(_ topic: String, size: Int) {
        guard size > 0 else { return }
        let now = ContinuousClock.now
        let continuation = waiting.withLock { waiting -> CheckedContinuation<ContinuousClock.Instant, Never>? in
            guard let current = waiting, current.topic == topic else { return nil }
            waiting = nil
            return current.continuation
        }
        continuation?.resume(returning: now)
    }

    func time(_ topic: String, _ say: () throws -> Void) async throws -> Duration {
        var start = ContinuousClock.now
        var failure: (any Error)?
        let end = await withCheckedContinuation { continuation in
            waiting.withLock { $0 = (topic, continuation) }
            start = .now
            do { try say() } catch {
                failure = error
                note(topic, size: 1)
            }
        }
        if let failure { throw failure }
        return end - start
    }
}
