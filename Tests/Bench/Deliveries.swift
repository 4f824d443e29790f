import Client
import Fleet
import Foundation
import TestSupport

private let bundleSize = 50 << 20
private let partSize = 262_144
private let partsCounter = "trunkline_parts_published_total"

/// 50 MiB of new software to so many real agents, from the change of the record until all run it, against a bare pipeline for each that receives,
/// opens, hashes, inflates and writes the same bytes.
func deliveryRows(_ site: Site, agents count: Int) async throws -> [Row] {
    _ = try await site.push("large", version: "1")
    let software = try await site.push("large", version: "2", padding: bundleSize)
    let bare = try await bareDelivery(of: software, site, to: count)
    // All at once: in waves each would be a delivery of its own.
    let rollout = "settle = 0s  batch = 100%"
    let ticket = try await site.group("large", software: "large@1", count: count, rollout: rollout)
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
    let before = try agents.map { try CPU(of: $0.pid) }
    let (manager, sent) = (try CPU(of: site.manager), try await site.metric(partsCounter))

    let start = ContinuousClock.now
    _ = try await site.client.changeGroup(
        "large", to: Site.record("large", software: "large@2", count: count, rollout: rollout))
    do { try await verified(site, count) } catch {
        // What one of those says that do not have it.
        let logs = (0..<count).compactMap { number in
            try? String(contentsOfFile: site.directory.path + "/agent-\(number).log", encoding: .utf8)
        }
        let behind = logs.filter { !$0.contains("started large@2") }
        throw BenchError(
            "\(error): \(behind.count) did not start it; the first says\n\(behind.first?.suffix(1500) ?? "")")
    }
    let took = ContinuousClock.now - start
    var rows = [
        Row(
            "50 MiB to \(count.machines), until all run it", baseline: bare.took, took, .seconds,
            goal: count == 20 ? .atMost(3) : .ratioAtMost(1.5)),
        Row(
            "50 MiB to \(count.machines), an agent's CPU", baseline: bare.each.inSeconds,
            try zip(agents, before).map { try CPU(of: $0.pid).since($1).inSeconds }.reduce(0, +) / Double(count),
            .seconds, goal: .atMost(0.17)),
        Row(
            "50 MiB to \(count.machines), manager's CPU", try CPU(of: site.manager).since(manager).inSeconds, .seconds),
        Row(
            "50 MiB to \(count.machines), sendings of a part",
            Double(try await site.metric(partsCounter) - sent) / Double((software.size + partSize - 1) / partSize),
            .none),
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

extension Int {
    var machines: String { "\(self) machine\(self == 1 ? "" : "s")" }
}
