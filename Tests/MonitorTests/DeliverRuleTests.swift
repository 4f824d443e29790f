import Fleet
import Monitor
import Testing

@Suite("The deliver rule and orders")
struct DeliverRuleTests {
    @Test("Other software in the record is delivered by the rule, and the event names rule and facts")
    func delivers() throws {
        var desk = Desk(converged: Samples.group(count: 2))
        let effects = desk.user(try #require(desk.monitor.group("edge")).asking(for: Samples.second), .revised)
        #expect(effects.orders == ["edge-1", "edge-2"])
        #expect(
            effects.kinds == [
                .rolloutBegan, .rolloutWave, .ruleActed, .machineOrdered, .ruleActed, .machineOrdered,
            ])
        let act = try #require(effects.events(.ruleActed).first)
        #expect(act.actor == "rule deliver what the record says")
        #expect(act.machine == "edge-1")
        #expect(act.facts["rule"] == "deliver what the record says")
        #expect(act.facts["index"] == "0")
        #expect(act.facts["software.digest"] == Samples.first)
        #expect(act.facts["group.digest"] == Samples.second)
        #expect(desk.machines["edge-1"]?.wanted.order?.digest == Samples.second)
        #expect(desk.machines["edge-1"]?.wanted.order?.generation == 2)
        #expect(desk.monitor.groupStatus("edge")?.verified == 0)
    }

    @Test("Without a deliver rule nothing is delivered")
    func noRule() throws {
        var desk = Desk(converged: Samples.group(count: 1, rules: [Samples.replaceLost]))
        let effects = desk.user(try #require(desk.monitor.group("edge")).asking(for: Samples.second), .revised)
        #expect(effects.orders.isEmpty)
        #expect(desk.pass(.minutes(5), hearing: ["edge-1"]).orders.isEmpty)
        #expect(desk.monitor.groupStatus("edge")?.verified == 0)
    }

    @Test("A machine that reports other files than the record's gets them again")
    func tampered() {
        var desk = Desk(converged: Samples.group(count: 1))
        let effects = desk.report("edge-1", digest: Samples.digest("f"))
        #expect(effects.orders == ["edge-1"])
        #expect(desk.machines["edge-1"]?.wanted.order?.generation == 2)
        #expect(effects.events(.ruleActed).first?.facts["software.digest"] == Samples.digest("f"))
    }

    @Test("It waits while the machine works on its order", arguments: [MachineState.receiving, .starting, .draining])
    func waits(_ state: MachineState) {
        var desk = Desk(running: Samples.group(count: 1))
        desk.join("edge-1")
        desk.report("edge-1", state)
        #expect(desk.pass(.minutes(2), hearing: ["edge-1"]).orders.isEmpty)
        #expect(desk.monitor.machine("edge-1")?.wanted.order?.generation == 1)
    }

    @Test("What does not come to run is delivered again at once, then after 10, 20, 40 … seconds, at most 5 minutes")
    func redelivery() {
        var desk = Desk(running: Samples.group(count: 1))
        desk.join("edge-1")
        var waits: [Int64] = []
        var last = desk.now
        var generation = 1
        for _ in 0..<9 {
            desk.report("edge-1", .failed, reason: "it does not start")
            for _ in 0..<3000 where desk.monitor.machine("edge-1")?.wanted.order?.generation == generation {
                desk.pass(.milliseconds(200))
                desk.repeatStatus("edge-1")
            }
            generation += 1
            #expect(desk.monitor.machine("edge-1")?.wanted.order?.generation == generation)
            waits.append((desk.now - last).milliseconds / 1000)
            last = desk.now
        }
        #expect(waits == [0, 10, 20, 40, 80, 160, 300, 300, 300])
    }

    @Test("Other software in the record does not wait for the pause of the former")
    func redeliveryOfOther() throws {
        var desk = Desk(running: Samples.group(count: 1))
        desk.join("edge-1")
        for _ in 0..<2 { desk.report("edge-1", .failed) }
        #expect(desk.report("edge-1", .failed).orders.isEmpty)
        let effects = desk.user(try #require(desk.monitor.group("edge")).asking(for: Samples.second), .revised)
        #expect(effects.orders == ["edge-1"])
    }

    @Test("An order that was not accepted is sent again, unchanged, after one heartbeat, then after two")
    func sentAgain() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.send(.restartMachine("edge-1"))
        let effects = (0..<29).flatMap { _ in
            desk.pass(.seconds(1)) + desk.report("edge-1", generation: 1, order: 1)
        }
        #expect(effects.orders.count == 1)
        let later = (0..<2).flatMap { _ in
            desk.pass(.seconds(1)) + desk.report("edge-1", generation: 1, order: 1)
        }
        #expect(later.orders.count == 1)
        #expect(desk.monitor.machine("edge-1")?.wanted.order?.generation == 2)
    }

    enum Refused: CaseIterable {
        /// It could not be opened or read.
        case unread
        /// It was, and cannot be followed.
        case accepted
        /// Nothing was running before.
        case first
    }

    @Test(
        "A machine that refuses its order is shown with its reason, and never replaced for it",
        arguments: Refused.allCases)
    func refused(_ refused: Refused) throws {
        var desk = Desk(converged: Samples.group(count: 2))
        desk.user(try #require(desk.monitor.group("edge")).asking(for: Samples.second), .revised)
        let reason = "an order cannot be read: 268560 bytes are more than the 262144 allowed"
        let since = desk.history.count
        var effects: [Monitor.Effect] = []
        for _ in 0..<60 {
            switch refused {
            case .unread:
                effects += desk.report("edge-1", digest: Samples.first, generation: 1, order: 1, reason: reason)
            case .accepted: effects += desk.report("edge-1", digest: Samples.first, generation: 1, reason: reason)
            case .first: effects += desk.report("edge-1", .failed, order: 0, reason: reason)
            }
            effects += desk.pass(.minutes(1), hearing: ["edge-1", "edge-2"])
        }
        #expect(effects.launches.isEmpty && effects.releases.isEmpty && effects.removals.isEmpty)
        let machine = try #require(desk.monitor.machine("edge-1"))
        #expect(machine.phase == .joined && machine.reported.status?.reason == reason && !machine.judged.verified)
        #expect(desk.monitor.explain("edge-1", at: desk.now)?.summary.contains(reason) == true)
        #expect(desk.history[since...].contains { $0.machine == "edge-1" && $0.facts["reason"] == reason })
        // Said again with growing pauses, not without end; who serves with what it ran before is left alone.
        let sent = effects.orders.count { $0 == "edge-1" }
        #expect(refused == .accepted ? sent == 0 : (1...400).contains(sent), "\(sent)")
    }

    @Test("Every current order is sent when the broker is connected")
    func connected() {
        var desk = Desk(converged: Samples.group(count: 3))
        desk.will("edge-2")
        desk.send(.replaceMachine("edge-3"))
        let effects = desk.send(.connected)
        #expect(effects.orders == ["edge-1", "edge-2", "edge-3"])
        #expect(effects.events.isEmpty)
        desk.send(.revokeMachine("edge-1"))
        #expect(!desk.send(.connected).orders.contains("edge-1"))
    }

    @Test("A user's restart is a new generation for each machine that is to run")
    func restart() {
        var desk = Desk(converged: Samples.group(count: 2))
        #expect(desk.send(.restartGroup("edge")).orders == ["edge-1", "edge-2"])
        #expect(desk.machines.values.allSatisfy { $0.wanted.order?.generation == 2 && !$0.judged.verified })
        #expect(desk.send(.restartMachine("edge-1")).orders == ["edge-1"])
        #expect(desk.send(.restartMachine("edge-9")).isEmpty)
    }
}
