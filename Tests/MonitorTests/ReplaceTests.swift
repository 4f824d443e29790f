import Fleet
import Monitor
import Testing

@Suite("Replacing, stopping and shrinking")
struct ReplaceTests {
    @Test("A replaced machine is ordered to stop, then released; its place gets a new machine with a new serial")
    func replace() {
        var desk = Desk(converged: Samples.group(count: 2))
        let asked = desk.send(.replaceMachine("edge-1"))
        #expect(asked.orders == ["edge-1"])
        #expect(asked.launches.isEmpty && asked.releases.isEmpty)
        #expect(desk.machines["edge-1"]?.wanted.order?.action == .stop)
        #expect(desk.machines["edge-1"]?.phase == .leaving)
        #expect(desk.report("edge-1", .stopped).releases == ["edge-1"])
        let gone = desk.send(.released(machine: "edge-1"))
        #expect(gone.removals == ["edge-1"])
        #expect(gone.launches == ["edge-3"])
        #expect(desk.machines["edge-3"]?.index == 0)
    }

    @Test("One that does not stop is released after its stop time, also when a rule replaced it")
    func doesNotStop() {
        let rule = Rule(name: "replace", when: Samples.isFailing, action: .replace)
        var desk = Desk(converged: Samples.group(count: 1, rules: [rule]))
        #expect(desk.report("edge-1", health: .failing).orders == ["edge-1"])
        // 10 s of the software's own, 10 s of grace.
        #expect(desk.pass(.milliseconds(19_999)).releases.isEmpty)
        #expect(desk.pass(.milliseconds(1)).releases == ["edge-1"])
        #expect(desk.pass(.milliseconds(4999)).launches.isEmpty)
        #expect(desk.pass(.milliseconds(1)).launches == ["edge-2"])
    }

    @Test("A lost machine is replaced after 30 seconds; its place waits 5 seconds for the platform's word")
    func replaceLost() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.will("edge-1")
        #expect(desk.pass(.milliseconds(29_999)).isEmpty)
        let effects = desk.pass(.milliseconds(1))
        #expect(effects.releases == ["edge-1"])
        #expect(effects.events(.ruleActed).first?.facts["machine.state"] == "away")
        #expect(effects.launches.isEmpty)
        #expect(desk.pass(.milliseconds(4999)).launches.isEmpty)
        #expect(desk.pass(.milliseconds(1)).launches == ["edge-2"])
        // The platform answers late; nothing more is launched.
        #expect(desk.send(.released(machine: "edge-1")).launches.isEmpty)
    }

    @Test("A leaving machine whose agent ends of its own accord is released, so that its software does not stay")
    func endsWhileLeaving() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.send(.replaceMachine("edge-1"))
        let effects = desk.send(.gone(machine: "edge-1", reason: "its agent was killed"))
        #expect(effects.releases == ["edge-1"])
        #expect(effects.removals.isEmpty && effects.launches.isEmpty)
        #expect(desk.send(.released(machine: "edge-1")).launches == ["edge-2"])
    }

    @Test("An invited machine is never replaced by a rule")
    func replaceInvited() {
        var desk = Desk(converged: Samples.group(count: 1, platform: .none))
        desk.will("edge-x0")
        let effects = desk.pass(.minutes(5))
        #expect(effects.isEmpty)
        #expect(desk.monitor.machine("edge-x0")?.phase == .joined)
    }

    @Test("Stop keeps a platform's machines, their places and their data; start has the same machines run again")
    func stopPlatform() {
        var desk = Desk(converged: Samples.group(count: 2))
        #expect(desk.user("edge", .stopped) { $0.run = .stopped }.orders == ["edge-1", "edge-2"])
        #expect(desk.monitor.groupStatus("edge")?.phase == .converging)
        for id in ["edge-1", "edge-2"] { #expect(desk.report(id, .stopped).releases.isEmpty) }
        #expect(desk.monitor.groupStatus("edge")?.phase == .stopped)
        let stopped = desk.pass(.hours(1), hearing: desk.ids())
        #expect(stopped.releases.isEmpty && stopped.launches.isEmpty && stopped.orders.isEmpty)
        let started = desk.user("edge", .started) { $0.run = .running }
        #expect(started.orders == ["edge-1", "edge-2"])
        #expect(started.launches.isEmpty)
        for id in desk.ids() { desk.report(id) }
        #expect(desk.pass(.seconds(5)).kinds.contains(.groupConverged))
    }

    @Test("A machine that is launching while its group is stopped goes on, and is ordered to stop when it joins")
    func stopWhileLaunching() {
        var desk = Desk(running: Samples.group(count: 1))
        #expect(desk.user("edge", .stopped) { $0.run = .stopped }.releases.isEmpty)
        #expect(desk.monitor.groupStatus("edge")?.phase == .converging)
        desk.send(.launched(machine: "edge-1"))
        #expect(desk.join("edge-1").orders == ["edge-1"])
        #expect(desk.machines["edge-1"]?.wanted.order?.action == .stop)
    }

    @Test(
        "A person lets the machines of a stopped group go; started again, it has others. Of a running group nobody goes"
    )
    func releaseStopped() {
        var desk = Desk(converged: Samples.group(count: 2))
        #expect(desk.send(.releaseMachines(of: "edge")).isEmpty)
        desk.user("edge", .stopped) { $0.run = .stopped }
        desk.report("edge-1", .stopped)
        #expect(desk.send(.releaseMachines(of: "edge")).releases == ["edge-1"])
        #expect(desk.report("edge-2", .stopped).releases == ["edge-2"])
        for id in ["edge-1", "edge-2"] { #expect(desk.send(.released(machine: id)).launches.isEmpty) }
        #expect(desk.machines.isEmpty)
        #expect(desk.monitor.groupStatus("edge")?.phase == .stopped)
        #expect(desk.user("edge", .started) { $0.run = .running }.launches == ["edge-3", "edge-4"])
    }

    @Test("Stop orders invited machines to stop and keeps them; start has them run again")
    func stopInvited() {
        var desk = Desk(converged: Samples.group(count: 2, platform: .none))
        let stopped = desk.user("edge", .stopped) { $0.run = .stopped }
        #expect(stopped.orders == ["edge-x0", "edge-x1"])
        #expect(stopped.releases.isEmpty)
        for id in ["edge-x0", "edge-x1"] { desk.report(id, .stopped) }
        #expect(desk.monitor.groupStatus("edge")?.phase == .stopped)
        #expect(desk.pass(.minutes(2), hearing: desk.ids()).orders.isEmpty)
        #expect(desk.user("edge", .started) { $0.run = .running }.orders == ["edge-x0", "edge-x1"])
        for id in desk.ids() { desk.report(id) }
        #expect(desk.pass(.seconds(5)).kinds.contains(.groupConverged))
    }

    @Test("A smaller count sends away the highest places and leaves the others alone")
    func shrink() {
        var desk = Desk(converged: Samples.group(count: 3))
        let effects = desk.user("edge", .revised) { $0.definition.machines.count = 1 }
        #expect(effects.orders == ["edge-2", "edge-3"])
        for id in ["edge-2", "edge-3"] {
            desk.report(id, .stopped)
            desk.send(.released(machine: id))
        }
        #expect(desk.ids() == ["edge-1"])
        #expect(desk.machines["edge-1"]?.wanted.order?.generation == 1)
        #expect(desk.machines["edge-1"]?.judged.verified == true)
    }

    @Test("Of invited machines the surplus is ordered to stop, and to run when there is a place again")
    func shrinkInvited() {
        var desk = Desk(converged: Samples.group(count: 2, platform: .none))
        #expect(desk.user("edge", .revised) { $0.definition.machines.count = 1 }.orders == ["edge-x1"])
        #expect(desk.machines["edge-x1"]?.wanted.order?.action == .stop)
        #expect(desk.machines["edge-x1"]?.phase == .joined)
        desk.report("edge-x1", .stopped)
        #expect(desk.user("edge", .revised) { $0.definition.machines.count = 2 }.orders == ["edge-x1"])
        #expect(desk.machines["edge-x1"]?.wanted.order?.action == .run)
    }

    @Test("A larger count launches the places that are missing")
    func grow() {
        var desk = Desk(converged: Samples.group(count: 1))
        #expect(desk.user("edge", .revised) { $0.definition.machines.count = 3 }.launches == ["edge-2", "edge-3"])
        #expect(desk.machines["edge-1"]?.wanted.order?.generation == 1)
    }

    @Test("On another platform all machines are new")
    func otherPlatform() {
        var desk = Desk(converged: Samples.group(count: 1))
        #expect(desk.user("edge", .revised) { $0.definition.machines.platform = .exec("cloud") }.orders == ["edge-1"])
        desk.report("edge-1", .stopped)
        let effects = desk.send(.released(machine: "edge-1"))
        #expect(effects.contains(.launch(machine: "edge-2", group: "edge", index: 0, platform: .exec("cloud"))))
    }

    @Test("A deleted group's machines are released without further orders, and then nothing is left of it")
    func delete() {
        var desk = Desk(converged: Samples.group(count: 2))
        let effects = desk.send(.groupDeleted("edge"))
        #expect(effects.releases == ["edge-1", "edge-2"])
        #expect(effects.orders.isEmpty)
        #expect(desk.monitor.group("edge") == nil)
        #expect(desk.monitor.machines(of: "edge").count == 2)
        for id in ["edge-1", "edge-2"] { #expect(desk.send(.released(machine: id)).removals == [id]) }
        #expect(desk.monitor.machines(of: "edge").isEmpty)
        #expect(desk.monitor.nextDeadline == nil)
    }

    @Test("Invited machines of a deleted group are forgotten at once")
    func deleteInvited() {
        var desk = Desk(converged: Samples.group(count: 2, platform: .none))
        #expect(desk.send(.groupDeleted("edge")).removals == ["edge-x0", "edge-x1"])
        #expect(desk.machines.isEmpty)
        #expect(desk.send(.groupDeleted("edge")).isEmpty)
    }

    @Test("A revoked machine gets nothing more; a platform's is released and replaced")
    func revoke() {
        var desk = Desk(converged: Samples.group(count: 2))
        let effects = desk.send(.revokeMachine("edge-1"))
        #expect(effects.contains(.revoke(machine: "edge-1", group: "edge", fingerprint: "f-edge-1")))
        #expect(effects.releases == ["edge-1"])
        #expect(effects.orders.isEmpty)
        #expect(desk.send(.revokeMachine("edge-1")).isEmpty)
        #expect(desk.send(.restartMachine("edge-1")).isEmpty)
        #expect(desk.join("edge-1").isEmpty)
        #expect(desk.send(.released(machine: "edge-1")).launches == ["edge-3"])
        #expect(desk.machines["edge-2"]?.wanted.order?.generation == 1)
    }
}

@Suite("Changes of the record")
struct ChangeTests {
    static let environment = [EnvironmentEntry(name: "PORT", value: .value(.number(5060)))]

    @Test("Other settings reach every machine at once, as a new generation of the same software")
    func environmentChange() {
        var desk = Desk(converged: Samples.group(count: 2))
        let effects = desk.user("edge", .revised) { $0.definition.environment = Self.environment }
        #expect(effects.orders == ["edge-1", "edge-2"])
        #expect(effects.events(.ruleActed).isEmpty)
        #expect(desk.machines["edge-1"]?.wanted.order?.generation == 2)
        #expect(desk.machines["edge-1"]?.wanted.order?.environment == ["PORT": .plain("5060")])
        #expect(desk.machines["edge-1"]?.judged.verified == false)
    }

    @Test("The same record again changes nothing")
    func same() {
        var desk = Desk(converged: Samples.group(count: 2, environment: Self.environment))
        #expect(desk.user("edge", .revised) { $0.revision += 1 }.isEmpty)
    }

    @Test("Another heartbeat is sent under the same generation, so that nothing restarts", arguments: [true, false])
    func heartbeat(running: Bool) {
        var desk = Desk(converged: Samples.group(count: 1, platform: .none))
        if !running {
            desk.user("edge", .stopped) { $0.run = .stopped }
            desk.report("edge-x0", .stopped)
        }
        let generation = desk.machines["edge-x0"]?.wanted.order?.generation
        let effects = desk.user("edge", .revised) { $0.definition.heartbeat = .seconds(2) }
        #expect(effects == [.sendOrder(machine: "edge-x0", group: "edge")])
        #expect(desk.monitor.machine("edge-x0")?.wanted.order?.generation == generation)
        #expect(desk.monitor.machine("edge-x0")?.judged.verified == running)
    }

    @Test("Back to the former software before the other was delivered: nothing happens")
    func backInTime() throws {
        var desk = Desk(converged: Samples.group(count: 1))
        let record = try #require(desk.monitor.group("edge"))
        desk.user("edge", .paused) { $0.paused = true }
        desk.user(record.asking(for: Samples.second).changed { $0.paused = true }, .revised)
        desk.user(record.asking(for: Samples.first).changed { $0.paused = true }, .revised)
        desk.user("edge", .resumed) { $0.paused = false }
        #expect(desk.monitor.machine("edge-1")?.wanted.order?.generation == 1)
        #expect(desk.monitor.machine("edge-1")?.judged.verified == true)
        #expect(desk.monitor.groupStatus("edge")?.phase == .converged)
        #expect(desk.pass(.seconds(6)) == [])
    }

    @Test("Back to the former software while the other is being delivered: the machine is ordered to keep it")
    func backTooLate() throws {
        var desk = Desk(converged: Samples.group(count: 1))
        let record = try #require(desk.monitor.group("edge"))
        desk.user(record.asking(for: Samples.second), .revised)
        desk.report("edge-1", .receiving, digest: Samples.first, generation: 1)
        #expect(desk.user(record.asking(for: Samples.first), .revised).orders == ["edge-1"])
        #expect(desk.monitor.machine("edge-1")?.wanted.order?.digest == Samples.first)
        #expect(desk.monitor.machine("edge-1")?.wanted.order?.generation == 3)
    }
}
