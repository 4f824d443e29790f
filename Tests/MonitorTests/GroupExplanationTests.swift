import Fleet
import Monitor
import Testing

@Suite("Why a group is as it is")
struct GroupExplanationTests {
    private func explain(_ desk: Desk) throws -> GroupExplanationView {
        try #require(desk.monitor.explain(group: "edge", at: desk.now))
    }

    private func waits(_ desk: Desk) throws -> [String] { try explain(desk).waits.map(\.what) }

    @Test("One that is what its record says waits for nothing; one that was never started for a person")
    func quiet() throws {
        let desk = Desk(converged: Samples.group(count: 2))
        let view = try explain(desk)
        #expect(view.phase == .converged && view.waits.isEmpty && view.machines.isEmpty && view.more == 0)
        #expect(view.summary.contains("2 verified, 0 failed, 0 away. It is what its record says."))
        #expect(desk.monitor.explain(group: "other", at: desk.now) == nil)
        var fresh = Desk()
        fresh.user(Samples.group(count: 1), .created)
        #expect(try waits(fresh) == ["a person starts it"])
    }

    @Test("A pause, a deaf manager, too many that are away and a silent platform each say so")
    func held() throws {
        var desk = Desk(converged: Samples.group(count: 6, rules: [Samples.replaceLost]))
        desk.user("edge", .paused) { $0.paused = true }
        #expect(try waits(desk) == ["the group is paused: no rule acts and no wave goes on until a person resumes it"])
        desk.user("edge", .resumed) { $0.paused = false }
        desk.send(.deaf(reason: "no connection with the broker"))
        desk.now = desk.now + .seconds(4)
        #expect(try waits(desk).first?.hasPrefix("the manager can't hear machines for 4s (no connection") == true)
        desk.send(.hearing)
        #expect(try waits(desk) == ["waits until all machines were heard since the manager hears again"])
        for id in desk.ids() { desk.repeatStatus(id) }
        #expect(try waits(desk).isEmpty)

        desk.answers = { _, _ in nil }
        for id in ["edge-1", "edge-2"] { desk.will(id) }
        desk.pass(.seconds(10), hearing: ["edge-3", "edge-4", "edge-5", "edge-6"])
        let silent = try explain(desk)
        let platform = try #require(silent.waits.first { $0.what.hasPrefix("platform local does not say") })
        #expect(platform.what.contains("it is out of order") && platform.until.map { $0 > desk.now } == true)
        #expect(silent.machines.map(\.machine) == ["edge-1", "edge-2"])
        #expect(silent.machines.first?.standing.contains("It has been away for 10s") == true)
        desk.will("edge-3")
        #expect(try waits(desk).first?.contains("3 of 6 machines are away at once, more than away_limit (2)") == true)
    }

    @Test("A rule that still counts stands in what comes next, with its time")
    func next() throws {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.report("edge-1", health: .failing)
        desk.pass(.milliseconds(3500))
        let view = try explain(desk)
        let rule = Samples.restartFailing.name
        #expect(view.next == [.init("rule \"\(rule)\" acts on edge-1, if it still holds", until: start + .seconds(15))])
        #expect(view.machines.map(\.state) == [.running] && view.rules.isEmpty)
        let later = try #require(desk.monitor.explain(group: "edge", at: desk.now, shift: .hours(1)))
        #expect(later.next.first?.until == start + .seconds(15) + .hours(1))
    }

    @Test("A rule of the group is shown with its facts")
    func rules() throws {
        let rule = Rule(name: "grow", when: Samples.isLoaded, holds: .seconds(60), action: .scale(1))
        var desk = Desk(converged: Samples.group(count: 1, maximum: 4, rules: [Samples.deliver, rule]))
        desk.report("edge-1", metrics: ["calls": 90])
        let view = try explain(desk)
        #expect(view.rules.map(\.name) == ["grow"] && view.rules.map(\.waits) == ["acts in 1m if it still holds"])
        #expect(view.rules.first?.facts.values.contains("90") == true)
        #expect(view.next.map(\.what) == ["rule \"grow\" acts, if it still holds"])
    }

    @Test("A rollout says for whom it waits, and until when; who drains and who is left out are named")
    func rollout() throws {
        var desk = Desk(converged: Samples.group(count: 3, rollout: WaveTests.policy))
        for id in desk.ids() { desk.report(id, metrics: ["calls": 3]) }
        desk.user(try #require(desk.monitor.group("edge")).asking(for: Samples.second), .revised)
        let view = try explain(desk)
        #expect(view.phase == .rolling)
        #expect(view.summary.contains("is rolling: 0 ok, 0 failed, 0 away, 2 to come, 1 draining, 0 changing."))
        let wait = try #require(view.waits.first?.what)
        #expect(wait.hasPrefix("rollout 2 (kamailio@1.a → kamailio@1.b) waits for edge-1 to have nothing more to do"))
        #expect(wait.contains("until \(desk.now + .minutes(30)) at most"))
        #expect(view.machines.map(\.machine) == ["edge-1", "edge-2", "edge-3"])
        #expect(view.machines[1].standing.contains("Its turn in rollout 2"))

        desk.send(.replaceMachine("edge-3"))
        desk.send(.drainMachine("edge-2"))
        let queued = try waits(desk)
        #expect(
            queued.contains("another machine serves, so that edge-2 can be drained: 1 do, and keep is 1"), "\(queued)")
        let leaving = try #require(desk.monitor.explain("edge-3", at: desk.now))
        #expect(leaving.summary.contains("It is left out of rollout 2 (kamailio@1.a → kamailio@1.b): it leaves."))
        desk.will("edge-2")
        let away = try #require(desk.monitor.explain("edge-2", at: desk.now))
        #expect(away.summary.contains("It goes through a late wave of rollout 2"), "\(away.summary)")
    }

    @Test("A place that can't be filled says how often it was tried, and when it is tried again")
    func vacancy() throws {
        var desk = Desk(running: Samples.group(count: 1))
        desk.send(.launchFailed(machine: "edge-1", reason: "no room"))
        let view = try explain(desk)
        let wait = try #require(view.waits.first { $0.what.hasPrefix("place 0 is empty") })
        #expect(wait.what.contains("could not be had") && wait.what.contains("1 times"))
        #expect(wait.until.map { $0 > desk.now } == true)
        #expect(view.next.first == .init("an empty place is filled", until: wait.until))
    }
}
