import Fleet
import Foundation
import HTTPTypes
import HummingbirdTesting
import Messaging
import Monitor
import Simulator
import Synchronization
import TestSupport
import Testing

@testable import Manager

@Suite("Whether the manager can hear") struct HearingTests {
    private final class Told: Sendable {
        let words = Mutex<[String]>([])
        var hearing: Hearing {
            Hearing { [self] event in
                switch event {
                case .deaf(let reason): words.withLock { $0.append("deaf: \(reason)") }
                case .hearing: words.withLock { $0.append("hearing") }
                default: words.withLock { $0.append("\(event)") }
                }
            }
        }
    }

    @Test("It begins deaf; each change of what is in the way is told once, and it hears when nothing is any more")
    func changes() {
        let told = Told()
        let hearing = told.hearing
        #expect(hearing.deafness?.reason == "not connected with the broker yet")
        hearing.lost(.subscription, "refused")
        #expect(told.words.withLock { $0 }.isEmpty)
        hearing.regained(.connection)
        #expect(told.words.withLock { $0 } == ["deaf: refused"])
        hearing.regained(.subscription)
        hearing.regained(.subscription)
        #expect(hearing.deafness == nil)
        #expect(hearing.lost(.lag, "behind") == true)
        #expect(hearing.lost(.connection, "gone") == false)
        #expect(hearing.deafness?.reason == "gone", "the worst is said")
        hearing.regained(.connection)
        hearing.regained(.lag)
        #expect(
            told.words.withLock { $0 }
                == ["deaf: refused", "hearing", "deaf: behind", "deaf: gone", "deaf: behind", "hearing"])
    }

    @Test("Statuses that waited too long make it deaf before they are handled, until the intake is up to date")
    func lag() async throws {
        try await Site.with { (site) async throws in
            site.control.hearing.regained(.connection)
            await site.control.drain()
            let old = Status(
                group: "g", machine: "g-1", session: 1, sequence: 1, at: .now, state: .running)
            site.control.mailbox.put(.status(old), since: .now - .seconds(10))
            #expect(await site.control.handleBurst())
            #expect(await site.control.monitor.deafness?.reason == "the intake is behind")
            await site.control.drain()
            #expect(await site.control.monitor.deafness == nil && site.control.hearing.deafness == nil)
        }
    }

    @Test("A real broker: deaf before it is there and while it is away, and ready in between")
    func broker() async throws {
        let broker = try await Broker.start()
        let port = broker.port
        try await Site.with(broker: "mqtt://127.0.0.1:\(port)") { (site) async throws in
            let link = BrokerLink(
                connection: site.connection, control: site.control, intake: site.intake, logger: site.api.logger)
            #expect(await site.control.notReady()?.contains("no connection with the broker") == true)
            async let connected: Void = site.connection.run()
            async let linked: Void = link.run()
            #expect(try await eventually { await site.control.notReady() == nil })
            await broker.stop()
            #expect(
                try await eventually {
                    await site.control.notReady()?.contains("no connection with the broker") == true
                })
            await site.connection.close()
            await connected
            await linked
        }
        await broker.cleanUp()
    }
}

@Suite("What the manager does about what it did not hear", .timeLimit(.minutes(2))) struct DeafnessTests {
    /// A group of invited machines that have registered.
    static func machines(_ count: Int, of site: Site, heartbeat: String = "10s") async throws -> [PaperMachine] {
        var machines: [PaperMachine] = []
        try await site.rest { (ask) async throws in
            _ = try await ask.push(try site.bundle())
            let record = Site.record(count: count, platform: "none").replacing("max = 9", with: "max = \(count)")
            #expect(try await ask(.post, "/v1/groups", record).status == 201)
            #expect(try await ask(.post, "/v1/groups/test/start").status == 202)
        }
        let ticket = try await site.control.invite(
            to: "test", InvitationRequest(uses: count, ttl: .hours(1)), by: Site.user)
        for number in 0..<count {
            var machine = PaperMachine("test-x\(String(format: "%07d", number))", ticket: ticket)
            try await site.say(machine.registration(), on: machine.registerTopic)
            machines.append(machine)
        }
        return machines
    }

    /// The link over a real broker, with the control room at work, until `body` is done.
    private func linked(_ site: Site, _ intake: Intake, _ body: () async throws -> Void) async throws {
        let link = BrokerLink(
            connection: site.connection, control: site.control, intake: intake, logger: site.api.logger)
        let tasks = [
            Task { await site.connection.run() }, Task { await link.run() }, Task { await site.control.run() },
        ]
        let result: Result<Void, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        await site.connection.close()
        site.control.mailbox.close()
        for task in tasks { await task.value }
        try result.get()
    }

    @Test("A subscription that is refused makes it deaf, with the reason, and is tried until it is granted")
    func refusedSubscription() async throws {
        try await withBroker { (broker) async throws in
            let relay = try Relay(to: broker.port)
            relay.refuseSubscriptions()
            try await Site.with(broker: "mqtt://127.0.0.1:\(relay.port)") { (site) async throws in
                // As the manager begins.
                site.control.hearing.lost(.connection, "not connected with the broker yet")
                let machine = try await Self.machines(1, of: site)[0]
                try await linked(site, site.intake) { () async throws in
                    try await expectRefusal(site)
                    relay.grantSubscriptions()
                    #expect(try await eventually { await site.control.notReady() == nil })
                    #expect(try await site.control.group("test").status.holding == nil)

                    // And where it is refused to one that had it: what is said meanwhile is heard afterwards.
                    relay.refuseSubscriptions()
                    relay.cut()
                    try await expectRefusal(site)
                    let speaker = Connection(
                        Connection.Configuration(broker: try #require(BrokerAddress(broker.url)), clientID: "speaker"),
                        logger: site.api.logger)
                    async let speaking: Void = speaker.run()
                    #expect(try await eventually { speaker.isConnected })
                    try await speaker.publish(
                        Message(
                            topic: machine.statusTopic, payload: try machine.status(sequence: 1), qos: .atLeastOnce,
                            retained: true))
                    await speaker.close()
                    await speaking
                    #expect(await site.control.monitor.machine(machine.id)?.reported.status == nil)
                    relay.grantSubscriptions()
                    #expect(
                        try await eventually {
                            await site.control.monitor.machine(machine.id)?.reported.status?.sequence == 1
                        })
                    #expect(try await eventually { await site.control.notReady() == nil })
                }
            }
            try await relay.close()
        }
    }

    private func expectRefusal(_ site: Site) async throws {
        let words = "the broker does not grant the manager's subscriptions"
        #expect(try await eventually { await site.control.notReady()?.contains(words) == true })
        #expect(try await site.control.group("test").status.holding?.contains(words) == true)
        try await site.rest { (ask) async throws in
            let reply = try await ask(.get, "/readyz")
            #expect(reply.status == 503 && reply.body.contains(words))
        }
    }

    @Test("Statuses for which there was no room make it deaf and are asked for again, also where it was deaf already")
    func dropped() async throws {
        try await withBroker { (broker) async throws in
            try await Site.with(broker: broker.url) { (site) async throws in
                let machines = try await Self.machines(20, of: site)
                let speaker = Connection(
                    Connection.Configuration(broker: try #require(BrokerAddress(broker.url)), clientID: "speaker"),
                    logger: site.api.logger)
                async let speaking: Void = speaker.run()
                #expect(try await eventually { speaker.isConnected })
                func say(_ sequence: Int, retained: Bool) async throws {
                    for machine in machines {
                        try await speaker.publish(
                            Message(
                                topic: machine.statusTopic, payload: try machine.status(sequence: sequence),
                                qos: .atLeastOnce, retained: retained))
                    }
                }
                func received(_ count: Int) async throws {
                    #expect(
                        try await eventually {
                            await site.control.metricsText(within: nil).contains(
                                "\ntrunkline_statuses_received_total \(count)\n")
                        })
                }
                // Lanes of which none moves.
                let intake = Intake(control: site.control, mostWaiting: 32)
                let gate = DispatchSemaphore(value: 0)
                for lane in intake.lanes { #expect(lane.add { gate.wait() }) }
                try await linked(site, intake) { () async throws in
                    #expect(try await eventually { site.control.queries.view.hearing.isConnected })
                    // It is deaf for another reason when they are dropped.
                    site.control.hearing.lost(.subscription, "refused")
                    for _ in 0..<40 { try await say(1, retained: false) }
                    try await received(800)
                    // Every lane is full now: of this nothing is taken.
                    try await say(2, retained: true)
                    #expect(try await eventually { site.control.hearing.has(.drops) })
                    for _ in intake.lanes { gate.signal() }
                    site.control.hearing.regained(.subscription)
                    #expect(
                        try await eventually {
                            await site.control.monitor.machines(of: "test").allSatisfy {
                                $0.reported.status?.sequence == 2
                            }
                        })
                    #expect(try await eventually { await site.control.notReady() == nil })
                    let metrics = await site.control.metricsText(within: nil)
                    #expect(!metrics.contains("\ntrunkline_statuses_dropped_total 0\n"))
                }
                await speaker.close()
                await speaking
            }
        }
    }

    @Test("A process that stood still for longer than three heartbeats concludes nothing from it")
    func standstill() async throws {
        let ahead = Mutex(TimeSpan.zero)
        let clock = ManagerClock(sinceBoot: { (Timestamp.now + ahead.withLock { $0 }).milliseconds })
        try await Site.with(clock: clock) { (site) async throws in
            let machines = try await Self.machines(3, of: site)
            for machine in machines { try await site.say(machine.status(sequence: 1), on: machine.statusTopic) }
            func away() async -> Int {
                await site.control.monitor.machines(of: "test").filter { $0.judged.awaySince != nil }.count
            }
            ahead.withLock { $0 = .seconds(60) }
            site.control.mailbox.put(.event(.due))
            await site.control.drain()
            #expect(await away() == 0)
            let events = try await site.control.events(EventFilter(), after: 0, limit: 100).items.map(\.kind)
            #expect(events.filter { $0 == .managerDeaf }.count == 1, "said once")
            #expect(events.last == .managerHearing && !events.contains(.machineAway))

            // Their silence counts anew: it is one heartbeat, 5 s and three heartbeats until it is believed.
            let woke = clock.now
            var rounds = 0
            while await away() < 3, rounds < 1000 {
                rounds += 1
                let next = try #require(await site.control.monitor.nextDeadline)
                let pause = max(.zero, next - clock.now)
                ahead.withLock { $0 = $0 + pause }
                site.control.mailbox.put(.event(.due))
                await site.control.drain()
            }
            #expect(await away() == 3)
            #expect(clock.now - woke >= .seconds(44))
        }
    }
}
