import Fleet
import Foundation
import HTTPTypes
import HummingbirdTesting
import Messaging
import Monitor
import Simulator
import Records
import Synchronization
import TestSupport
import Testing

@testable import Manager

/// A time of day that somebody sets forward and back.
final class SteppedWall: Sendable {
    private let step = Mutex(TimeSpan.zero)

    var clock: ManagerClock { ManagerClock(wall: { [self] in .wall + step.withLock { $0 } }) }
    func step(by span: TimeSpan) { step.withLock { $0 = span } }
}

@Suite("The manager's clock")
struct ClockTests {
    static let year = TimeSpan.hours(24 * 365)
    static let steps = [TimeSpan.hours(1), .hours(-1), year, .hours(-24 * 365)]

    @Test("goes on evenly however the time of day is set, which people see at once", arguments: steps)
    func goesOn(_ step: TimeSpan) {
        let wall = SteppedWall()
        let clock = wall.clock
        let before = clock.now
        wall.step(by: step)
        #expect(clock.now >= before && clock.now - before < .minutes(1))
        #expect(abs(clock.shift.milliseconds - step.milliseconds) < 5000)
    }

    @Test(
        "shows an instant at one time, however the two clocks fall into whole milliseconds, and a step of a second at once"
    )
    func steady() {
        let reads = Mutex(0)
        let step = Mutex(Int64(0))
        let clock = ManagerClock(
            wall: {
                let odd = reads.withLock { reads in
                    reads += 1
                    return Int64(reads % 2)
                }
                return Timestamp(milliseconds: 1_800_000_000_000 + odd + step.withLock { $0 })
            }, sinceBoot: { 5000 })
        #expect(Set((0..<10).map { _ in clock.shift }).count == 1)
        let before = clock.shift
        step.withLock { $0 = 1000 }
        #expect(abs(clock.shift.milliseconds - before.milliseconds - 1000) <= 1)
        #expect(Set((0..<10).map { _ in clock.shift }).count == 1)
    }

    @Test("is the same for the next manager on the same boot, and anchored anew on another")
    func anchor() throws {
        let records = try Records.inMemory()
        let wall = Mutex(Timestamp(milliseconds: 1_800_000_000_000))
        func start(boot: String, since: Int64) throws -> ManagerClock {
            let clock = ManagerClock(wall: { wall.withLock { $0 } }, sinceBoot: { since })
            try clock.anchor(in: records, bootID: boot)
            return clock
        }
        let first = try start(boot: "a", since: 5000)
        #expect(first.now == Timestamp(milliseconds: 1_800_000_000_000))
        wall.withLock { $0 = $0 + Self.year }
        #expect(try start(boot: "a", since: 7000).now == first.now + .seconds(2))
        let other = try start(boot: "b", since: 1000)
        #expect(other.now == wall.withLock { $0 })
        wall.withLock { $0 = $0 - Self.year }
        #expect(try start(boot: "b", since: 1000).now == other.now)
        // Where the kernel does not name its boot nothing that was kept can be believed.
        #expect(try start(boot: "", since: 0).now == wall.withLock { $0 })
    }

    @Test("a timer fires once for its last deadline, and setting it often leaves nothing behind")
    func timer() async throws {
        let fired = Mutex(0)
        let timer = DeadlineTimer(label: "test") { fired.withLock { $0 += 1 } }
        for step in 1...10_000 { timer.set(.now + .seconds(60) + .milliseconds(Int64(step))) }
        timer.set(.now + .milliseconds(20))
        #expect(try await eventually { fired.withLock { $0 } == 1 })
        timer.set(.now - .hours(1))
        #expect(try await eventually { fired.withLock { $0 } == 2 })
    }

    @Test("A stepped time of day changes what is shown, and nothing else", arguments: steps)
    func fleet(_ step: TimeSpan) async throws {
        let wall = SteppedWall()
        try await Site.with(clock: wall.clock) { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record(count: 2, platform: "none"))
                #expect(try await ask(.post, "/v1/groups/test/start").status == 202)
                let ticket = try await site.control.invite(
                    to: "test", InvitationRequest(uses: 2, ttl: .minutes(10)), by: Site.user)
                var one = PaperMachine("test-xaaaaaaa", ticket: ticket)
                try await site.say(one.registration(), on: one.registerTopic)
                try await site.say(one.status(sequence: 1), on: one.statusTopic)
                let record = try #require(await site.control.monitor.machine(one.id))
                let deadline = try #require(await site.control.monitor.nextDeadline)

                wall.step(by: step)
                site.control.mailbox.put(.event(.due))
                await site.control.drain()
                #expect(await site.control.monitor.machine(one.id) == record)
                let next = try #require(await site.control.monitor.nextDeadline)
                #expect(next >= deadline && next - deadline < .minutes(1))
                // The ticket is good for ten minutes of the manager's time.
                var other = PaperMachine("test-xbbbbbbb", ticket: ticket)
                try await site.say(other.registration(), on: other.registerTopic)
                #expect(await site.control.monitor.machine(other.id) != nil)
                let view = try await site.control.machine(one.id)
                let heard = try #require(view.heardAt)
                let shown = try #require(record.reported.heardAt) + step
                #expect(heard >= shown - .seconds(10) && heard <= shown + .seconds(10))
                let events = try await site.control.events(EventFilter(), after: 0, limit: 1000).items
                let last = try #require(events.last { $0.machine == other.id })
                #expect(abs((last.at - (.wall + step)).milliseconds) < 60_000)
            }
        }
    }
}
