import Fleet
import Monitor
import Testing

@Suite("Silence is evidence only while the manager can hear")
struct HearingTests {
    /// Three machines under the rules that a group gets by itself.
    static func desk(count: Int = 3) -> Desk { Desk(converged: Samples.group(count: count)) }

    @Test("A monitor begins deaf: with statuses that come, nothing is concluded until it hears")
    func beginsDeaf() {
        let monitor = Monitor(groups: [], machines: [], acts: [], at: start)
        #expect(monitor.deafness?.reason == "not connected with the broker yet")
        #expect(monitor.deafness?.since == start)
    }

    @Test("While it is deaf no absence counts, however long it lasts; nothing is released when it hears again")
    func brokerAway() {
        var desk = Self.desk()
        #expect(desk.send(.deaf(reason: "no connection with the broker")).kinds == [.managerDeaf])
        #expect(desk.pass(.hours(5)).isEmpty)
        #expect(desk.monitor.groupStatus("edge")?.away == 0)
        #expect(desk.send(.hearing).kinds == [.managerHearing])
        // Their heartbeats come within one heartbeat, and nothing has happened.
        desk.pass(.seconds(9))
        for id in desk.ids() {
            desk.reconnect(id)
            #expect(desk.repeatStatus(id).kinds.isEmpty)
        }
        let effects = desk.pass(.minutes(5), hearing: desk.ids())
        #expect(effects.isEmpty)
        #expect(desk.monitor.groupStatus("edge")?.phase == .converged)
    }

    @Test("After deafness each silence counts anew: away after one heartbeat, 5 s and three more heartbeats")
    func grace() {
        var desk = Self.desk(count: 1)
        desk.pass(.seconds(24))
        desk.send(.deaf(reason: "no connection with the broker"))
        desk.pass(.seconds(1))
        desk.send(.hearing)
        #expect(desk.pass(.milliseconds(44_999)).kinds.isEmpty)
        #expect(desk.pass(.milliseconds(1)).kinds == [.machineAway])
    }

    @Test("A machine that says a longer heartbeat than the record is heard by its own, and has its order sent again")
    func ownHeartbeat() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.repeatStatus("edge-1", heartbeat: .seconds(10))
        desk.pass(.seconds(8))
        #expect(desk.user("edge", .revised) { $0.definition.heartbeat = .seconds(2) }.orders == ["edge-1"])
        // It did not get it.
        #expect(desk.pass(.milliseconds(21_999)).events.isEmpty)
        #expect(desk.repeatStatus("edge-1").orders == ["edge-1"])
        #expect(desk.repeatStatus("edge-1").orders.isEmpty, "at most once a heartbeat")
        #expect(desk.repeatStatus("edge-1", heartbeat: .seconds(2)).orders.isEmpty)
        #expect(desk.pass(.milliseconds(5999)).events.isEmpty)
        #expect(desk.pass(.milliseconds(1)).kinds == [.machineAway])
    }

    @Test("Who was not heard one heartbeat and 5 s after the manager hears again has its order sent again, once")
    func reminder() {
        var desk = Self.desk(count: 1)
        desk.send(.deaf(reason: "no connection with the broker"))
        desk.send(.hearing)
        #expect(desk.pass(.milliseconds(14_999)).orders.isEmpty)
        #expect(desk.pass(.milliseconds(1)).orders == ["edge-1"])
        #expect(desk.pass(.seconds(29)).orders.isEmpty)
    }

    @Test(
        "The `for` of a rule about absence begins anew for a machine that was away before: it may have come back unheard"
    )
    func awayBefore() {
        var desk = Self.desk(count: 1)
        desk.will("edge-1")
        desk.pass(.seconds(29))
        desk.send(.deaf(reason: "no connection with the broker"))
        desk.pass(.minutes(10))
        desk.send(.hearing)
        #expect(desk.pass(.milliseconds(74_999)).releases.isEmpty)
        #expect(desk.pass(.milliseconds(1)).releases == ["edge-1"])
    }

    @Test("As long as it is not known how many are away, those that are known to be so wait")
    func unknownNumber() {
        var desk = Self.desk(count: 4)
        desk.send(.deaf(reason: "no connection with the broker"))
        desk.send(.hearing)
        // The broker has kept one machine's will; of the others nothing is known before 45 s.
        desk.will("edge-1")
        #expect(desk.pass(.seconds(44)).releases.isEmpty)
        #expect(
            ExplanationTests.waits(desk, rule: Samples.replaceLost)?.contains("3 machines were not heard yet") == true)
        // All are away: more than away_limit.
        #expect(desk.pass(.hours(1)).releases.isEmpty)
    }

    @Test("What a machine reported before counts for rules once it says it again")
    func reportedBefore() {
        var desk = Self.desk(count: 1)
        desk.report("edge-1", health: .failing)
        desk.send(.deaf(reason: "its own intake is behind"))
        desk.send(.hearing)
        #expect(desk.pass(.seconds(14)).orders.isEmpty)
        desk.repeatStatus("edge-1")
        #expect(desk.pass(.milliseconds(9999)).orders.isEmpty)
        #expect(desk.pass(.milliseconds(1)).orders == ["edge-1"])
    }

    @Test("A rule that acted once does not do so again because the manager was deaf in between")
    func actedBefore() {
        let rule = Rule(name: "tell", when: Samples.isFailing, action: .notify("look"))
        var desk = Desk(converged: Samples.group(count: 1, rules: [rule]))
        #expect(desk.report("edge-1", health: .failing).kinds.contains(.ruleNotified))
        desk.send(.deaf(reason: "no connection with the broker"))
        desk.pass(.minutes(1))
        desk.send(.hearing)
        #expect(!desk.repeatStatus("edge-1").kinds.contains(.ruleNotified))
        #expect(!desk.pass(.minutes(2), hearing: ["edge-1"]).kinds.contains(.ruleNotified))
    }

    @Test("Rules that look at all machines wait until all were heard")
    func rulesOfMany() {
        let rule = Rule(
            name: "shrink", when: .binary(.less, .aggregate(.sum, .metric("calls")), .value(.number(50))),
            action: .scale(-1))
        var desk = Desk(converged: Samples.group(count: 3, minimum: 1, maximum: 3, rules: [rule]))
        for id in desk.ids() { desk.report(id, metrics: ["calls": 30]) }
        desk.send(.deaf(reason: "no connection with the broker"))
        desk.send(.hearing)
        var effects = desk.report("edge-1", metrics: ["calls": 30])
        effects += desk.pass(.seconds(5))
        #expect(effects.scales.isEmpty)
        effects += desk.report("edge-2", metrics: ["calls": 5]) + desk.pass(.seconds(1))
        #expect(effects.scales.isEmpty)
        effects += desk.report("edge-3", metrics: ["calls": 5]) + desk.pass(.seconds(1))
        #expect(effects.scales == [2])
    }

    @Test("A manager that did not run for a while has heard nobody meanwhile: the silence is its own")
    func stoppedProcess() {
        var desk = Self.desk()
        desk.now = desk.now + .minutes(20)
        let effects = desk.send(.due)
        #expect(effects.kinds == [.managerDeaf, .managerHearing])
        #expect(desk.pass(.milliseconds(44_999)).kinds.isEmpty)
        #expect(desk.monitor.groupStatus("edge")?.away == 0)
    }

    @Test("A launched machine cannot register with a deaf manager: its time to boot does not run out")
    func boot() {
        var desk = Desk(running: Samples.group(count: 1))
        desk.send(.launched(machine: "edge-1"))
        desk.send(.deaf(reason: "no connection with the broker"))
        #expect(desk.pass(.hours(2)).kinds.isEmpty)
        desk.send(.hearing)
        #expect(desk.pass(.milliseconds(599_999)).kinds.isEmpty)
        #expect(desk.pass(.milliseconds(1)).releases == ["edge-1"])
    }

    @Test("Nothing is verified by what cannot be heard")
    func settling() {
        var desk = Desk(running: Samples.group(count: 1))
        desk.join("edge-1")
        desk.report("edge-1")
        desk.send(.deaf(reason: "no connection with the broker"))
        #expect(desk.pass(.minutes(1)).kinds.isEmpty)
        desk.send(.hearing)
        desk.repeatStatus("edge-1")
        #expect(desk.pass(.milliseconds(4999)).kinds.isEmpty)
        #expect(desk.pass(.milliseconds(1)).kinds.contains(.machineVerified))
    }

    @Test("Group, explanation and summary say since when and why nothing is concluded")
    func words() throws {
        var desk = Self.desk()
        desk.send(.deaf(reason: "no connection with the broker"))
        desk.pass(.seconds(12))
        #expect(
            desk.monitor.groupStatus("edge", at: desk.now)?.holding
                == "no connection with the broker since 12s: rules about absence hold")
        let view = try #require(desk.monitor.explain("edge-1", at: desk.now))
        #expect(
            view.rules.map(\.waits)
                == Array(repeating: "no connection with the broker since 12s: no rule is judged", count: 3))
        #expect(view.summary.contains("The manager can't hear machines since 12s: no connection with the broker."))
        desk.send(.hearing)
        desk.pass(.seconds(2))
        #expect(
            ExplanationTests.waits(desk) == "waits to hear the machine: the manager hears again since 2s")
        #expect(desk.monitor.groupStatus("edge", at: desk.now)?.holding == nil)
    }

    @Test("A link that breaks every second for an hour is a few events, not thousands")
    func flappingLink() {
        var desk = Self.desk(count: 1)
        var events = 0
        for _ in 0..<3600 {
            events += desk.send(.deaf(reason: "connection refused")).kinds.count
            events += desk.send(.hearing).kinds.count
            desk.pass(.seconds(1))
        }
        #expect(events > 0)
        #expect(events <= 160)
    }
}
