import CMosquitto
import Client
import Fleet
import Foundation
import Messaging
import Simulator
import Synchronization
import TestSupport

private let machineCount = 500
private let statusCount = 100_000

/// Statuses a second: the manager, which checks each MAC and compares each status with the record, against a subscriber that only counts.
func statusRows(_ site: Site) async throws -> [Row] {
    let publisher = try BareClient("publisher", port: site.broker.port)
    let software = try await site.push("steady", version: "1")
    let ticket = try await site.group("steady", software: "steady@1", count: machineCount)
    let machines = try await site.paperMachines(machineCount, group: "steady", ticket: ticket, by: publisher)
    let running = RunningSoftware(
        name: "steady", version: "1", digest: software.digest, generation: 1, health: .passing,
        since: Timestamp(milliseconds: 1_767_225_600_000), restarts: 0)
    func flood(session: Int) throws -> [(topic: String, payload: [UInt8])] {
        try (0..<statusCount).map { number in
            let machine = machines[number % machineCount]
            let status = try machine.status(
                session: session, sequence: number / machineCount + 1, state: .running, order: 1, software: running)
            return (machine.statusTopic, Array(status))
        }
    }

    let first = try flood(session: 1)
    let before = try await taken(site)
    let own = try await rate {
        for (topic, payload) in first { publisher.publish(payload, on: topic, qos: 0) }
    } count: {
        try await taken(site) - before
    }

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
        Row(
            what: "status messages a second, \(machineCount) machines", bare: "\(Int(bare.perSecond))",
            trunkline: "\(Int(own.perSecond))", ratio: own.perSecond / bare.perSecond),
        Row(what: "  of \(statusCount), taken", bare: "\(bare.count)", trunkline: "\(own.count)", ratio: nil),
        Row(
            what: "manager with \(machineCount) machines, private memory", bare: "",
            trunkline: String(format: "%.1f MiB", try Memory(of: site.manager).mebibytes), ratio: nil),
    ]
}

private func taken(_ site: Site) async throws -> Int {
    let text = try await site.client.metrics()
    let line = text.split(separator: "\n").first { $0.hasPrefix("trunkline_statuses_taken_total ") }
    return line.flatMap { Int($0.split(separator: " ")[1]) } ?? 0
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
        try await Task.sleep(for: .milliseconds(5))
    }
    return (Double(last.count) / (last.at - start).inSeconds, last.count)
}

/// From a drifted status to the order that mends it, against two passes through the broker with an echo in between.
func driftRows(_ site: Site) async throws -> [Row] {
    let rounds = 500
    let speaker = try BareClient("speaker", port: site.broker.port)
    let listener = try BareClient("listener", port: site.broker.port)
    let heard = Heard()
    listener.onArrival { message in
        heard.note(String(cString: message.pointee.topic), size: Int(message.pointee.payloadlen))
    }

    // The bare round trip.
    let echo = try BareClient("echo", port: site.broker.port)
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
    return [("p50", 0.5), ("p99", 0.99)].map { name, share in
        let (bare, own) = (percentile(bare, share), percentile(own, share))
        return Row(
            what: "drifted status to order, \(name), against the round trip", bare: bare.inMilliseconds,
            trunkline: own.inMilliseconds, ratio: own.inSeconds / bare.inSeconds)
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
