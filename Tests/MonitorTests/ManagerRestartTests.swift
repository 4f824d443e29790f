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
        let effects =
            desk.pass(.zero) + desk.send(.connected) + desk.ids().flatMap { desk.repeatStatus($0) }
            + desk.pass(.minutes(2), hearing: desk.ids())
        #expect(effects == ["edge-1", "edge-2", "edge-3"].map { .sendOrder(machine: $0, group: "edge") })
        #expect(desk.monitor.groupStatus("edge")?.phase == .converged)
    }

    @Test("Silence counts from the restart on")
    func silence() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.now = desk.now + .hours(3)
        desk.restartManager()
        #expect(desk.pass(.milliseconds(29_999)).isEmpty)
        #expect(desk.pass(.milliseconds(1)).kinds == [.machineAway])
    }

    @Test("What was to be launched when the manager was killed is launched again, once")
    func launchAgain() {
        var desk = Desk(running: Samples.group(count: 2))
        desk.join("edge-1")
        desk.now = desk.now + .hours(1)
        desk.restartManager()
        #expect(desk.pass(.seconds(1)).launches.isEmpty)
        #expect(desk.send(.connected).launches == ["edge-2"])
        #expect(desk.send(.connected).launches.isEmpty)
        #expect(desk.join("edge-2").orders == ["edge-2"])
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
