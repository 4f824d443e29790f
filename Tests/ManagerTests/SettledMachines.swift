import Fleet
import Foundation
import Messaging
import Monitor
import Records
import Sealing
import Simulator
import Synchronization
import Testing

@testable import Manager

/// Machines of one group that run what its record says and were found good, so that what each says next can be counted.
struct SettledMachines {
    let site: Site
    let machines: [PaperMachine]
    private let digest: String
    private var sequence = 0

    /// Time stands still: nobody is late, however slow the processor, and no burst is cut.
    static func with(
        _ count: Int, rules: String = "",
        write: (@Sendable (Records, [Records.Change]) throws -> [EventEntry])? = nil,
        observer: Records.StatementObserver? = nil,
        _ body: (inout SettledMachines) async throws -> Void
    ) async throws {
        try await Site.with(
            clock: ManagerClock(sinceBoot: { 1_000_000 }), write: write, observer: observer
        ) { site in
            var settled = try await SettledMachines(count, rules: rules, at: site)
            for _ in 0..<2 {
                for index in 0..<count { try await settled.say(index) }
            }
            let records = await site.control.monitor.machines(of: "test")
            try #require(records.count == count && records.allSatisfy(\.judged.verified))
            try await body(&settled)
        }
    }

    private init(_ count: Int, rules: String, at site: Site) async throws {
        let bundle = try site.bundle()
        let path = site.configuration.uploadDirectory + "/settled"
        try bundle.write(to: URL(filePath: path))
        digest = BundleDigest.hex(of: bundle)
        _ = try await site.control.pushSoftware(
            SoftwareReference(name: "soft", version: "1"), bundleAt: path, digest: digest, size: bundle.count,
            by: Site.user)
        let record = """
            group "test" {
              service  = voice
              software = "soft@1"
              machines { count = \(count)  platform = none }
              rollout { settle = 0s }
              \(rules)
            }
            """
        _ = try await site.control.createGroup(.text(record), by: Site.user)
        _ = try await site.control.instruct("test", .start, release: false, ifRevision: nil, by: Site.user)
        let ticket = try await site.control.invite(
            to: "test", InvitationRequest(uses: count, ttl: .hours(1)), by: Site.user)
        var machines = (0..<count).map { PaperMachine("test-x\(10_000_000 + $0)", ticket: ticket) }
        for index in machines.indices {
            site.intake.receive(
                Message(topic: machines[index].registerTopic, payload: try machines[index].registration()))
        }
        await site.intake.settle()
        await site.control.drain()
        (self.site, self.machines) = (site, machines)
    }

    /// What a machine says next: that all is as it was, unless it runs something else, or has another load.
    mutating func status(of index: Int, running other: String? = nil, calls: Double? = nil) throws -> Message {
        sequence += 1
        let software = RunningSoftware(
            name: "soft", version: "1", digest: other ?? digest, generation: 1, health: .passing,
            since: Timestamp(milliseconds: 1_767_225_600_000), restarts: 0)
        return Message(
            topic: machines[index].statusTopic,
            payload: try machines[index].status(
                sequence: sequence, order: 1, software: software, metrics: calls.map { ["calls": $0] } ?? [:]))
    }

    /// Says it, and waits until it was handled.
    mutating func say(_ index: Int, running other: String? = nil, calls: Double? = nil) async throws {
        let message = try status(of: index, running: other, calls: calls)
        try await site.say(message.payload, on: message.topic)
    }
}
