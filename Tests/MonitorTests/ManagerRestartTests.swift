import Fleet
import Monitor
import Testing

@Suite("A restart of the manager")
struct ManagerRestartTests {
    @Test("Healthy machines keep their generation; nothing is said but their orders, again")
    func healthy() {
        var desk = Desk(converged: Samples.group(count: 3))
        desk.now = desk.now + .hours(3)
        desk.restartManager()
        // Of a machine that registered before its platform had answered, the platform's word is new.
        desk.pass(.zero)
        let effects =
            desk.pass(.zero) + desk.send(.connected) + desk.ids().flatMap { desk.repeatStatus($0) }
            + desk.pass(.minutes(2), hearing: desk.ids())
        #expect(effects == ["edge-1", "edge-2", "edge-3"].map { .sendOrder(machine: $0, group: "edge") })
        #expect(desk.monitor.groupStatus("edge")?.phase == .converged)
    }

    @Test("Silence counts from one heartbeat and 5 s after the manager hears again")
    func silence() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.now = desk.now + .hours(3)
        desk.restartManager(hears: false)
        #expect(desk.pass(.hours(1)).kinds.isEmpty)
        desk.send(.hearing)
        #expect(desk.pass(.milliseconds(44_999)).kinds.isEmpty)
        #expect(desk.pass(.milliseconds(1)).kinds == [.machineAway])
    }

    @Test(
        "What was to be launched when the manager was killed is launched again, once, where the platform does not have it"
    )
    func launchAgain() {
        var desk = Desk(running: Samples.group(count: 2))
        desk.join("edge-1")
        desk.now = desk.now + .hours(1)
        desk.vanished = ["edge-2"]
        desk.restartManager(hears: false)
        #expect(desk.pass(.seconds(1)).launches == ["edge-2"])
        #expect(desk.pass(.minutes(1)).launches.isEmpty)
        desk.send(.connected)
        desk.send(.hearing)
        #expect(desk.join("edge-2").orders == ["edge-2"])
    }

    @Test("What the platform has already is not launched twice")
    func launchedAlready() {
        var desk = Desk(running: Samples.group(count: 1))
        desk.restartManager()
        let effects = desk.pass(.minutes(1))
        #expect(effects.launches.isEmpty)
        #expect(effects.kinds == [.machineLaunched])
        #expect(desk.machines["edge-1"]?.judged.launchedAt == desk.now - .minutes(1))
    }

    @Test("Instants that lie in the future were written by another clock: they count from now on")
    func future() {
        var desk = Desk(converged: Samples.group(count: 1, rules: [Samples.replaceLost]))
        desk.will("edge-1")
        desk.pass(.seconds(20))
        desk.now = desk.now - .hours(24 * 365)
        desk.restartManager()
        // 45 s until it is known to be away anew, and as long as the rule says.
        #expect(desk.pass(.milliseconds(74_999)).releases.isEmpty)
        #expect(desk.pass(.milliseconds(1)).releases == ["edge-1"])
    }

    @Test("A place that waited for another attempt is filled")
    func vacancy() {
        var desk = Desk(running: Samples.group(count: 2))
        desk.send(.launchFailed(machine: "edge-2", reason: "no room"))
        desk.restartManager()
        #expect(desk.pass(.zero).launches == ["edge-3"])
        #expect(desk.machines["edge-3"]?.index == 1)
    }

    @Test("What was leaving goes on leaving")
    func leaving() {
        var desk = Desk(converged: Samples.group(count: 2))
        desk.send(.replaceMachine("edge-1"))
        desk.report("edge-1", .stopped)
        desk.restartManager()
        let effects = desk.pass(.zero)
        #expect(effects.releases == ["edge-1"])
        #expect(effects.launches.isEmpty)
        #expect(desk.send(.released(machine: "edge-1")).launches == ["edge-3"])
    }

    @Test("Machines of a group that was deleted are still released")
    func deleted() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.send(.groupDeleted("edge"))
        desk.monitor = Monitor(groups: [], machines: Array(desk.machines.values), acts: [], at: desk.now)
        #expect(desk.pass(.zero).releases == ["edge-1"])
        #expect(desk.monitor.group("edge") == nil)
        #expect(desk.send(.released(machine: "edge-1")).removals == ["edge-1"])
        #expect(desk.monitor.machines(of: "edge").isEmpty)
    }
}
