import Client
import Fleet
import Foundation
import TestSupport

private let bundleSize = 50 << 20
private let partSize = 262_144

/// 50 MiB of new software to so many real agents, from the change of the record until all run it, against bare publishing of the same bytes.
func deliveryRows(_ site: Site, agents count: Int) async throws -> [Row] {
    let bare = try await bareDelivery(site, to: count)
    _ = try await site.push("large", version: "1")
    _ = try await site.push("large", version: "2", padding: bundleSize)
    let ticket = try await site.group("large", software: "large@1", count: count)
    let file = site.directory.appending(path: "ticket.json")
    try JSONEncoder().encode(ticket).write(to: file)
    let agents = try (0..<count).map { number in
        try Spawned(
            try Site.program("trunkline-agent"),
            [
                "--ticket", file.path, "--state", site.directory.path + "/agent-\(number)", "--stop-software",
                "--insecure",
            ],
            log: site.directory.appending(path: "agent-\(number).log"))
    }
    defer { for agent in agents { agent.end() } }
    try await verified(site, count)
    // An agent gives back what its start took after some seconds.
    try await Task.sleep(for: .seconds(8))
    let idle = try agents.map { try Memory(of: $0.pid).mebibytes }.reduce(0, +) / Double(count)

    let start = ContinuousClock.now
    _ = try await site.client.changeGroup("large", to: Site.record("large", software: "large@2", count: count))
    try await verified(site, count)
    let took = ContinuousClock.now - start
    var rows = [
        Row(
            "50 MiB to \(count.machines), until all run it", baseline: bare, took, .seconds,
            goal: count == 20 ? .atMost(3) : nil),
        Row("50 MiB to \(count.machines), an idle agent's memory", idle, .mebibytes),
    ]
    if count == 20 {
        rows.append(
            Row(
                "50 MiB to \(count.machines), manager's memory after", try Memory(of: site.manager).mebibytes,
                .mebibytes))
    }
    return rows
}

private func verified(_ site: Site, _ count: Int) async throws {
    let done = try await eventually(within: .seconds(120), every: .milliseconds(5)) {
        try await site.client.group("large").status.phase == .converged
    }
    guard done else { throw BenchError("not all of \(count) agents came to run it") }
}

private func bareDelivery(_ site: Site, to count: Int) async throws -> Duration {
    let publisher = try BareClient("publisher", port: site.broker.port)
    let subscribers = try (0..<count).map { try BareClient("subscriber-\($0)", port: site.broker.port) }
    for subscriber in subscribers { try await subscriber.subscribe("bare/parts/#", qos: 1) }
    let bases = subscribers.map(\.receivedCount)
    let part = [UInt8](repeating: 0x5A, count: partSize)
    let parts = bundleSize / partSize
    let start = ContinuousClock.now
    for number in 0..<parts {
        publisher.publish(part, on: "bare/parts/\(number)", qos: 1)
        // As paced as Trunkline's own delivery is.
        while zip(subscribers, bases).contains(where: { number - ($0.receivedCount - $1) >= 32 }) { await Task.yield() }
    }
    while zip(subscribers, bases).contains(where: { $0.receivedCount - $1 < parts }) { await Task.yield() }
    return ContinuousClock.now - start
}

extension Int {
    var machines: String { "\(self) machine\(self == 1 ? "" : "s")" }
}
