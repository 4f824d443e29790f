import Fleet
import Foundation
import HTTPTypes
import HummingbirdTesting
import Messaging
import Monitor
import Simulator
import Records
import Synchronization
import Testing

@testable import Manager

@Suite("What grows has a bound") struct BoundTests {
    @Test(
        "A machine that flaps each second for an hour costs fewer than 100 events and 2 MB of database",
        .timeLimit(.minutes(5)))
    func flapping() async throws {
        let ahead = Mutex(TimeSpan.zero)
        let clock = ManagerClock(sinceBoot: { (Timestamp.now + ahead.withLock { $0 }).milliseconds })
        try await Site.with(clock: clock) { (site) async throws in
            let machine = try await DeafnessTests.machines(1, of: site)[0]
            let before = try site.control.records.sizes()
            for second in 1...3600 {
                ahead.withLock { $0 = .seconds(Int64(second)) }
                site.intake.receive(
                    Message(
                        topic: machine.statusTopic,
                        payload: try machine.status(
                            sequence: second, state: second.isMultiple(of: 2) ? .running : .failed)),
                    at: clock.now)
                await site.intake.settle()
                site.control.mailbox.put(.event(.due))
                await site.control.drain()
            }
            #expect(await site.control.monitor.machine(machine.id)?.reported.status?.sequence == 3600)
            let events = try site.control.records.events(
                group: nil, machine: machine.id, matching: nil, after: 0, limit: 10_000)
            #expect(events.count > 10 && events.count < 100, "\(events.count) events")
            let after = try site.control.records.sizes()
            #expect(after.database - before.database < 2 << 20, "\(after.database)")
            #expect(after.log < 18 << 20, "\(after.log)")
            // What is not listed is counted, in the history and for whoever watches the manager.
            let metrics = await site.control.metricsText(within: nil)
            let counted = metrics.split(separator: "\n").first { $0.hasPrefix("trunkline_events_unlisted_total ") }
            let unlisted = try #require(counted.flatMap { Int($0.split(separator: " ")[1]) })
            #expect(unlisted > 3400)
            let said = events.compactMap { $0.facts["count"].flatMap { Int($0) } }.reduce(0, +)
            #expect(said > 2000 && said <= unlisted)
        }
    }

    @Test("What a stranger sends that is not listed is counted")
    func refusals() async throws {
        try await Site.with { (site) async throws in
            _ = try await DeafnessTests.machines(1, of: site)
            for number in 0..<200 {
                try await site.say(Data("{}".utf8), on: "trunkline/test/register/test-xz\(number)")
            }
            let listed = try site.control.records.events(
                group: nil, machine: nil, matching: nil, after: 0, limit: 10_000
            ).filter { $0.kind == .registrationRefused }.count
            #expect(listed >= 60 && listed < 70)
            let metrics = await site.control.metricsText(within: nil)
            #expect(metrics.contains("\ntrunkline_refused_total 200\n"))
            #expect(metrics.contains("\ntrunkline_refusals_unlisted_total \(200 - listed)\n"))
        }
    }
}
