import Client
import Fleet
import Foundation
import Records
import TestSupport

/// A history as long as the manager keeps one, read to its end: by pages, and as a stream that goes on.
func eventRows(_ site: Site) async throws -> [Row] {
    let count = 1_000_000
    _ = try await site.push("fleet", version: "1")
    _ = try await site.group("fleet", software: "fleet@1", count: 10)
    try site.restartManager { try write(count, to: site.directory.path + "/data/trunkline.sqlite") }
    let ready = try await eventually(within: .seconds(60), every: .milliseconds(20)) {
        do { return try await site.client.isReady() } catch { return false }
    }
    guard ready else { throw BenchError("the manager does not come back with \(count) events") }

    var (read, after, start) = (0, Int64(0), ContinuousClock.now)
    while true {
        let page = try await site.client.events(
            group: nil, machine: nil, kind: "machine.state", after: after, limit: 1000)
        read += page.items.count
        guard let next = page.next.flatMap(Int64.init) else { break }
        after = next
    }
    let paged = ContinuousClock.now - start
    guard read == count else { throw BenchError("of \(count) events \(read) were on pages") }

    (read, start) = (0, .now)
    for try await _ in site.client.eventStream(group: nil, machine: nil, kind: "machine.state", after: 0) {
        read += 1
        if read == count { break }
    }
    let streamed = ContinuousClock.now - start
    return [
        Row("\(count) events, read to the end in pages", paged, .seconds),
        Row("\(count) events, read to the end as a stream", streamed, .seconds),
        Row("manager's memory after \(count) events", try Memory(of: site.manager).mebibytes, .mebibytes),
    ]
}

/// While no manager runs. As machines of a fleet of ten write them.
private func write(_ count: Int, to path: String) throws {
    let records = try Records.open(at: path)
    let batch = 10_000
    let now = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
    for first in stride(from: 0, to: count, by: batch) {
        let changes = (first..<min(first + batch, count)).map { number in
            Records.Change.event(
                EventEntry(
                    at: now, group: "fleet", machine: "fleet-x\(number % 10)", kind: .machineState, actor: "machine",
                    message: "fleet-x\(number % 10) is running, was starting", facts: ["state": "running"]))
        }
        _ = try records.commit(changes)
    }
}
