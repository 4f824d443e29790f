import Fleet
import Monitor
import Testing

@Suite("What a machine says again")
struct SteadyTests {
    /// Whether the machine's last status, said again, is taken for nothing new.
    private func isSteady(_ desk: inout Desk, heartbeat: TimeSpan? = nil) -> Bool {
        _ = desk.repeatStatus("edge-1", heartbeat: heartbeat)
        return desk.monitor.wasSteady
    }

    private func settled(_ record: GroupRecord = Samples.group(count: 2)) -> Desk {
        var desk = Desk(converged: record)
        for id in desk.ids() { desk.repeatStatus(id) }
        return desk
    }

    @Test("lets it live, and nothing else follows, in whatever it says after that neither")
    func lives() throws {
        var desk = settled()
        for _ in 0..<100 {
            #expect(desk.pass(.seconds(10)).isEmpty)
            #expect(desk.repeatStatus("edge-1").isEmpty && desk.monitor.wasSteady)
            #expect(desk.repeatStatus("edge-2").isEmpty && desk.monitor.wasSteady)
            #expect(desk.monitor.machine("edge-1")?.reported.heardAt == desk.now)
        }
        let last = try #require(desk.monitor.machine("edge-1")?.reported.status)
        #expect(last.sequence > 100)
        // What it said before is behind that.
        #expect(desk.send(.status(last)).isEmpty)
        #expect(!desk.monitor.wasSteady)
        desk.report("edge-1", health: .failing)
        #expect(!desk.monitor.wasSteady && desk.monitor.machine("edge-1")?.judged.verified == false)
    }

    @Test("is looked at while anything is open about the machine or its group")
    func open() throws {
        var desk = settled()
        #expect(isSteady(&desk))
        // Another heartbeat than the record's, another agent.
        #expect(!isSteady(&desk, heartbeat: .seconds(7)))
        desk = settled()
        var status = try #require(desk.monitor.machine("edge-1")?.reported.status)
        (status.sequence, status.holder) = (status.sequence + 1, "0badcafe")
        desk.send(.status(status))
        #expect(!desk.monitor.wasSteady)

        var drained = settled(Samples.group(count: 2, rollout: WaveTests.policy))
        #expect(isSteady(&drained))
        drained.send(.drainMachine("edge-1"))
        #expect(!isSteady(&drained))

        var deaf = settled()
        deaf.send(.deaf(reason: "the broker is away"))
        deaf.send(.hearing)
        #expect(!isSteady(&deaf) && isSteady(&deaf), "the first that is heard counts")

        var rolled = settled(Samples.group(count: 2, rollout: WaveTests.policy))
        rolled.user(try #require(rolled.monitor.group("edge")).asking(for: Samples.second), .revised)
        _ = rolled.repeatStatus("edge-2")
        #expect(!rolled.monitor.wasSteady)

        var stopped = settled()
        stopped.user("edge", .stopped) { $0.run = .stopped }
        #expect(!isSteady(&stopped))
    }

    @Test("may come with another load, at which no condition holds; the journal has it all the same")
    func load() throws {
        let busy = Rule(
            name: "busy", when: .binary(.greater, .metric("calls"), .value(.number(5))), action: .notify("busy"))
        for metric in ["memory", "calls"] {
            var desk = settled(Samples.group(count: 2, rules: [busy]))
            for load in [1.0, 2] {
                #expect(desk.report("edge-1", metrics: [metric: load]).isEmpty)
                #expect(desk.monitor.wasSteady && !desk.monitor.wasSaidAgain)
                #expect(desk.monitor.machine("edge-1")?.reported.status?.metrics == [metric: load])
            }
            #expect(isSteady(&desk) && desk.monitor.wasSaidAgain)
            // That it is not there any more is something else, too.
            desk.report("edge-1")
            #expect(desk.monitor.wasSteady && !desk.monitor.wasSaidAgain)
        }
        var desk = settled(Samples.group(count: 2, rules: [busy]))
        for _ in 0..<2 {
            desk.report("edge-1", metrics: ["calls": 6])
            #expect(!desk.monitor.wasSteady && desk.monitor.machine("edge-1")?.judged.held.isEmpty == false)
            desk.report("edge-1", metrics: ["calls": 5])
            #expect(!desk.monitor.wasSteady, "it no longer holds")
            desk.report("edge-1", metrics: ["calls": 4])
            #expect(desk.monitor.wasSteady)
        }
        // What a drain waits for counts while nothing drains: nobody may find an old load when it begins.
        var draining = settled(Samples.group(count: 2, rollout: WaveTests.policy))
        draining.report("edge-1", metrics: ["calls": 7])
        #expect(draining.monitor.machine("edge-1")?.reported.status?.metrics == ["calls": 7])
    }

    @Test("is looked at where a condition holds, or where rules look at neighbours or at growth")
    func rules() {
        let busy = Rule(
            name: "busy", when: .binary(.greater, .metric("calls"), .value(.number(5))), holds: .minutes(1),
            action: .notify("busy"))
        var desk = Desk(converged: Samples.group(count: 2, rules: [busy]))
        #expect(isSteady(&desk))
        desk.report("edge-1", metrics: ["calls": 6])
        #expect(!isSteady(&desk))
        #expect(desk.pass(.minutes(1), hearing: desk.ids()).kinds.contains(.ruleNotified))

        let around = Rule(
            name: "around", when: .binary(.greater, .aggregate(.maximum, .metric("calls")), .metric("calls")),
            action: .notify("others have more"))
        var neighbours = Desk(converged: Samples.group(count: 2, rules: [around]))
        neighbours.report("edge-1", metrics: ["calls": 1])
        neighbours.report("edge-2", metrics: ["calls": 2])
        #expect(neighbours.repeatStatus("edge-1").kinds.contains(.ruleNotified))

        let growth = Rule(
            name: "growth", when: .binary(.greater, .rate("errors"), .value(.number(1))), action: .notify("errors"))
        var counting = Desk(converged: Samples.group(count: 2, rules: [growth]))
        counting.report("edge-1", metrics: ["errors": 1])
        #expect(!isSteady(&counting))
    }

    @Test("adds up to what rules of the group look at, which then act")
    func aggregates() {
        let all = Rule(
            name: "all", when: .binary(.greater, .aggregate(.average, .metric("calls")), .value(.number(5))),
            holds: .minutes(1), action: .notify("many"))
        var desk = settled(Samples.group(count: 2, rules: [all]))
        #expect(desk.pass(.seconds(10)).isEmpty)
        for (id, calls) in [("edge-1", 4.0), ("edge-2", 7)] {
            #expect(desk.report(id, metrics: ["calls": calls]).isEmpty)
            #expect(desk.monitor.wasSteady)
        }
        // Judged within 200 ms, and at once when its minute is over.
        #expect(desk.pass(.milliseconds(200)).isEmpty)
        #expect(!desk.pass(.seconds(59), hearing: desk.ids()).kinds.contains(.ruleNotified))
        #expect(desk.pass(.seconds(1), hearing: desk.ids()).kinds.contains(.ruleNotified))
        // And what no longer holds has to hold for as long again.
        desk.report("edge-1", metrics: ["calls": 3])
        #expect(desk.monitor.wasSteady)
        desk.pass(.seconds(1), hearing: desk.ids())
        desk.report("edge-1", metrics: ["calls": 4])
        #expect(!desk.pass(.seconds(59), hearing: desk.ids()).kinds.contains(.ruleNotified))
        #expect(desk.pass(.seconds(2), hearing: desk.ids()).kinds.contains(.ruleNotified))
    }

    @Test("puts off nothing that comes by time alone")
    func time() throws {
        let calm = Rule(
            name: "calm", when: .binary(.less, .restarts(.minutes(10)), .value(.number(1))), action: .notify("calm"))
        var desk = Desk(converged: Samples.group(count: 1, rules: [calm]))
        var status = try #require(desk.monitor.machine("edge-1")?.reported.status)
        status.sequence += 1
        status.software?.restarts = 1
        desk.send(.status(status))
        for _ in 0..<status.sequence { desk.repeatStatus("edge-1") }
        #expect(desk.pass(.seconds(20)).isEmpty)
        #expect(isSteady(&desk))
        #expect(!desk.pass(.seconds(579), hearing: ["edge-1"]).kinds.contains(.ruleNotified))
        #expect(desk.pass(.seconds(1)).kinds.contains(.ruleNotified))
    }

    @Test("A manager that has just started, and older records, look at each machine first")
    func restarts() {
        var desk = settled()
        desk.restartManager()
        #expect(!isSteady(&desk) && isSteady(&desk))
    }
}
