import Fleet
import Monitor
import Testing

@Suite("Drains")
struct DrainTests {
    private func desk(_ count: Int = 3, keep: Int = 1) -> Desk {
        var policy = WaveTests.policy
        policy.drain?.keep = keep
        var desk = Desk(converged: Samples.group(count: count, rollout: policy))
        for id in desk.ids() { desk.report(id, metrics: ["calls": 3]) }
        return desk
    }

    private func action(_ desk: Desk, _ id: String) -> Order.Action? { desk.monitor.machine(id)?.wanted.order?.action }

    /// It has heard that it is to drain, and says what it still does.
    private func drains(_ desk: inout Desk, _ id: String, calls: Double) {
        desk.report(id, .draining, digest: desk.monitor.machine(id)?.wanted.order?.digest, metrics: ["calls": calls])
    }

    @Test("A machine is told to drain under the generation that it runs, and changed once it has nothing more to do")
    func change() throws {
        var desk = desk()
        let effects = desk.user(try #require(desk.monitor.group("edge")).asking(for: Samples.second), .revised)
        #expect(effects.orders == ["edge-1"])
        #expect(action(desk, "edge-1") == .drain)
        #expect(desk.monitor.machine("edge-1")?.wanted.order?.generation == 1)
        // What was reported before it drained says nothing.
        desk.report("edge-1", metrics: ["calls": 0])
        #expect(action(desk, "edge-1") == .drain)
        drains(&desk, "edge-1", calls: 2)
        desk.pass(.minutes(5), hearing: desk.ids())
        #expect(action(desk, "edge-1") == .drain)
        drains(&desk, "edge-1", calls: 0)
        #expect(action(desk, "edge-1") == .run)
        #expect(desk.monitor.machine("edge-1")?.wanted.order?.digest == Samples.second)
        #expect(desk.monitor.machine("edge-1")?.wanted.order?.generation == 2)
    }

    @Test("What it said while it drained before is not believed: it is told again once it takes new work")
    func again() {
        var desk = desk()
        desk.send(.drainMachine("edge-1"))
        drains(&desk, "edge-1", calls: 1)
        desk.send(.undrainMachine("edge-1", by: "user ada"))
        #expect(desk.send(.drainMachine("edge-1")).orders.isEmpty)
        // It has not heard that it is to take new work.
        drains(&desk, "edge-1", calls: 0)
        #expect(action(desk, "edge-1") == .run)
        #expect(desk.monitor.machine("edge-1")?.wanted.drain?.ended == nil)
        #expect(desk.report("edge-1", metrics: ["calls": 2]).orders == ["edge-1"])
        #expect(action(desk, "edge-1") == .drain)
        drains(&desk, "edge-1", calls: 0)
        #expect(desk.monitor.machine("edge-1")?.wanted.drain?.ended != nil)
    }

    @Test("A change that supersedes an abort at once waits for that, too, whatever its wave may take")
    func changeAgain() throws {
        var desk = desk()
        desk.send(.drainMachine("edge-1"))
        drains(&desk, "edge-1", calls: 1)
        desk.send(.undrainMachine("edge-1", by: "user ada"))
        desk.user(try #require(desk.monitor.group("edge")).asking(for: Samples.second), .revised)
        drains(&desk, "edge-1", calls: 0)
        #expect(desk.monitor.machine("edge-1")?.wanted.order?.generation == 1)
        #expect(desk.report("edge-1", metrics: ["calls": 2]).orders == ["edge-1"])
        #expect(action(desk, "edge-1") == .drain)
        drains(&desk, "edge-1", calls: 0)
        #expect(desk.monitor.machine("edge-1")?.wanted.order?.digest == Samples.second)
    }

    @Test("Its time is up, whatever it still does")
    func atMost() throws {
        var desk = desk()
        desk.user(try #require(desk.monitor.group("edge")).asking(for: Samples.second), .revised)
        drains(&desk, "edge-1", calls: 2)
        desk.pass(.minutes(29), hearing: desk.ids())
        #expect(desk.monitor.machine("edge-1")?.wanted.order?.generation == 1)
        desk.pass(.minutes(1), hearing: desk.ids())
        #expect(desk.monitor.machine("edge-1")?.wanted.order?.generation == 2)
        #expect(desk.history.last { $0.kind == .machineDrained }?.message.contains("its time is up") == true)
    }

    @Test("What a rollout waited for is kept with it: how many machines, how long, with how much work")
    func counted() throws {
        var desk = desk()
        desk.report("edge-1", metrics: ["calls": 3])
        desk.report("edge-2", metrics: ["calls": 4])
        desk.user(try #require(desk.monitor.group("edge")).asking(for: Samples.second), .revised)
        #expect(desk.monitor.rollout("edge")?.drains == nil)
        #expect(desk.monitor.rollout("edge")?.revision == desk.monitor.group("edge")?.revision)
        desk.pass(.minutes(5), hearing: desk.ids())
        drains(&desk, "edge-1", calls: 0)
        var drained = RolloutRecord.Drains()
        (drained.machines, drained.longest, drained.load) = (1, .minutes(5), ["calls": 3])
        #expect(desk.monitor.rollout("edge")?.drains == drained)
        desk.report("edge-1", metrics: ["calls": 0])
        desk.pass(.seconds(5), hearing: desk.ids())
        #expect(action(desk, "edge-2") == .drain)
        drains(&desk, "edge-2", calls: 1)
        desk.restartManager()
        for id in desk.ids() { desk.repeatStatus(id) }
        desk.pass(.minutes(30), hearing: desk.ids())
        (drained.machines, drained.overdue, drained.longest) = (2, 1, .minutes(30))
        (drained.load, drained.left) = (["calls": 7], ["calls": 1])
        #expect(desk.monitor.rollout("edge")?.drains == drained)
    }

    @Test("An abort lets it take new work again, and nothing restarts")
    func abort() throws {
        var desk = desk()
        desk.user(try #require(desk.monitor.group("edge")).asking(for: Samples.second), .revised)
        drains(&desk, "edge-1", calls: 2)
        let effects = desk.send(.rollout("edge", .abort(by: "ada", why: "wrong day")))
        #expect(effects.orders == ["edge-1"])
        #expect(action(desk, "edge-1") == .run)
        #expect(desk.monitor.machine("edge-1")?.wanted.order?.generation == 1)
        #expect(effects.rollbacks == [1])
        desk.report("edge-1", metrics: ["calls": 2])
        let after = desk.user(try #require(desk.monitor.group("edge")).asking(for: Samples.first), .revised)
        #expect(after.orders == [])
        #expect(desk.monitor.rollout("edge")?.phase == .done)
    }

    @Test("A pause of the group leaves nobody drained; the wave goes on with it when it is resumed")
    func paused() throws {
        var desk = desk()
        desk.user(try #require(desk.monitor.group("edge")).asking(for: Samples.second), .revised)
        drains(&desk, "edge-1", calls: 2)
        desk.user("edge", .paused) { $0.paused = true }
        #expect(action(desk, "edge-1") == .run)
        desk.report("edge-1", metrics: ["calls": 2])
        #expect(desk.pass(.hours(1), hearing: desk.ids()).orders.isEmpty)
        desk.user("edge", .resumed) { $0.paused = false }
        #expect(desk.ids().filter { action(desk, $0) == .drain }.count == 1)
        #expect(desk.ids().allSatisfy { desk.monitor.machine($0)?.wanted.order?.generation == 1 })
    }

    @Test("Never do fewer than keep serve: the next one waits")
    func keep() {
        var desk = desk(3, keep: 2)
        desk.send(.drainMachine("edge-1"))
        desk.send(.drainMachine("edge-2"))
        #expect(action(desk, "edge-1") == .drain)
        #expect(action(desk, "edge-2") == .run)
        #expect(desk.send(.undrainMachine("edge-1", by: "user ada")).orders == ["edge-1", "edge-2"])
        #expect(action(desk, "edge-2") == .drain)
    }

    @Test("A group that stops, shrinks or replaces a machine drains first", arguments: ["stop", "shrink", "replace"])
    func leaving(_ what: String) {
        var desk = desk()
        let id = what == "replace" ? "edge-1" : "edge-3"
        switch what {
        case "stop": desk.user("edge", .stopped) { $0.run = .stopped }
        case "shrink": desk.user("edge", .revised) { $0.definition.machines.count = 2 }
        default: desk.send(.replaceMachine("edge-1"))
        }
        #expect(action(desk, id) == .drain)
        #expect(desk.monitor.machine(id)?.phase == .joined)
        drains(&desk, id, calls: 1)
        #expect(action(desk, id) == .drain)
        drains(&desk, id, calls: 0)
        #expect(action(desk, id) == .stop)
        #expect(desk.monitor.machine(id)?.phase == (what == "stop" ? .joined : .leaving))
    }

    @Test("A stop that is taken back lets machines go on, and nothing restarts")
    func stopTakenBack() {
        var desk = desk()
        desk.user("edge", .stopped) { $0.run = .stopped }
        for id in desk.ids() { drains(&desk, id, calls: 1) }
        desk.user("edge", .started) { $0.run = .running }
        #expect(desk.ids().map { action(desk, $0) } == [.run, .run, .run])
        #expect(desk.ids().map { desk.monitor.machine($0)?.wanted.order?.generation } == [1, 1, 1])
    }

    @Test("What a person drained stays drained, also over a change and a restart of the manager")
    func byHand() throws {
        var desk = desk(2)
        desk.send(.drainMachine("edge-1"))
        drains(&desk, "edge-1", calls: 0)
        desk.restartManager()
        for id in desk.ids() { desk.repeatStatus(id) }
        desk.user(try #require(desk.monitor.group("edge")).asking(for: Samples.second), .revised)
        #expect(desk.monitor.machine("edge-1")?.wanted.order?.digest == Samples.second)
        #expect(action(desk, "edge-1") == .drain)
        drains(&desk, "edge-1", calls: 0)
        desk.pass(.seconds(6), hearing: desk.ids())
        #expect(desk.monitor.machine("edge-1")?.judged.verified == true)
        #expect(desk.send(.undrainMachine("edge-1", by: "user ada")).orders.contains("edge-1"))
        #expect(action(desk, "edge-1") == .run)
    }

    @Test("Without a drain in the record, a change, a stop and a restart are done at once")
    func none() {
        var policy = WaveTests.policy
        policy.drain = nil
        var desk = Desk(converged: Samples.group(count: 1, rollout: policy))
        desk.send(.restartMachine("edge-1"))
        #expect(desk.monitor.machine("edge-1")?.wanted.order?.generation == 2)
        desk.report("edge-1")
        desk.user("edge", .stopped) { $0.run = .stopped }
        #expect(desk.monitor.machine("edge-1")?.wanted.order?.action == .stop)
    }
}
