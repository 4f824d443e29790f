import Fleet
import Monitor
import Testing

/// Rollouts as the monitor carries them out, with machines that report.
@Suite("A change in waves")
struct WaveTests {
    static let policy = RolloutPolicy(
        batch: .count(1), settle: .seconds(5), maxFailed: 0, onFailure: .rollback,
        drain: .init(
            until: .binary(.equal, .metric("calls"), .value(.number(0))), atMost: .minutes(30), keep: 1))

    private func desk(_ count: Int = 3, drains: Bool = false, _ change: (inout RolloutPolicy) -> Void = { _ in })
        -> Desk
    {
        var policy = Self.policy
        if !drains { policy.drain = nil }
        change(&policy)
        return Desk(converged: Samples.group(count: count, rollout: policy))
    }

    private func digests(_ desk: Desk) -> [Character?] {
        desk.ids().map { desk.monitor.machine($0)?.wanted.order?.digest.first }
    }

    private func change(_ desk: inout Desk, to digest: String = Samples.second) throws {
        desk.user(try #require(desk.monitor.group("edge")).asking(for: digest), .revised)
    }

    @Test("One machine after the other gets it, each once the one before is verified; then the release is good")
    func waves() throws {
        var desk = desk()
        try change(&desk)
        #expect(digests(desk) == ["b", "a", "a"])
        #expect(desk.monitor.groupStatus("edge")?.phase == .rolling)
        desk.report("edge-1")
        desk.pass(.seconds(4), hearing: desk.ids())
        #expect(digests(desk) == ["b", "a", "a"])
        desk.pass(.seconds(1), hearing: desk.ids())
        #expect(digests(desk) == ["b", "b", "a"])
        for id in ["edge-2", "edge-3"] {
            desk.report(id)
            desk.pass(.seconds(6), hearing: desk.ids())
        }
        #expect(digests(desk) == ["b", "b", "b"])
        #expect(desk.monitor.rollout("edge")?.phase == .done)
        #expect(desk.monitor.groupStatus("edge")?.phase == .converged)
        #expect(desk.verdicts["edge"]?[2] == .good)
    }

    @Test("A machine that falls back is left alone by the rule that delivers, and the record goes back")
    func fallsBack() throws {
        var desk = desk()
        try change(&desk)
        let effects = desk.report("edge-1", digest: Samples.first, generation: 1, reason: "it did not become healthy")
        #expect(effects.rollbacks == [1])
        #expect(desk.pass(.minutes(10), hearing: desk.ids()).orders.isEmpty)
        #expect(digests(desk) == ["b", "a", "a"])
        guard case .failed(let reason, _) = try #require(desk.verdicts["edge"]?[2]) else {
            Issue.record("the release was not judged")
            return
        }
        #expect(reason.contains("edge-1: it did not become healthy"))
        // The shell does as it was asked.
        try change(&desk, to: Samples.first)
        #expect(digests(desk) == ["a", "a", "a"])
        #expect(desk.monitor.group("edge")?.release == 1)
        desk.report("edge-1")
        desk.pass(.seconds(6), hearing: desk.ids())
        #expect(desk.monitor.rollout("edge")?.phase == .done)
        #expect(desk.monitor.releaseToGoBackTo("edge") == nil)
    }

    @Test("A server that dies after its first check has failed")
    func dies() throws {
        var desk = desk { $0.onFailure = .pause }
        try change(&desk)
        desk.report("edge-1")
        desk.pass(.seconds(2), hearing: desk.ids())
        var status = desk.status("edge-1")
        status.software?.restarts = 1
        status.sequence += 1
        desk.send(.status(status))
        #expect(desk.monitor.rollout("edge")?.phase == .paused)
        #expect(desk.pass(.minutes(5), hearing: ["edge-2", "edge-3"]).orders.isEmpty)
    }

    @Test("The manager that comes after one that was killed goes on where it was")
    func killed() throws {
        var desk = desk()
        try change(&desk)
        desk.report("edge-1")
        desk.restartManager()
        for id in desk.ids() { desk.repeatStatus(id) }
        #expect(desk.monitor.rollout("edge")?.phase == .rolling)
        #expect(digests(desk) == ["b", "a", "a"])
        desk.pass(.seconds(6), hearing: desk.ids())
        #expect(digests(desk) == ["b", "b", "a"])
    }

    @Test("A canary that reports worse than the rest, of its new software, ends it at that report")
    func worse() throws {
        let errors = Expression.metric("errors")
        let twice = Expression.binary(
            .multiply, .value(.number(2)), .aggregate(.averageOfRest, errors))
        var desk = desk(4) { policy in
            policy.canary = .init(machines: 1, holds: .minutes(10), worse: .binary(.greater, errors, twice))
        }
        for id in desk.ids() { desk.report(id, metrics: ["errors": 10]) }
        try change(&desk)
        // What it says while it runs the former software is no reproach to the new one.
        desk.report("edge-1", digest: Samples.first, generation: 1, order: 1, metrics: ["errors": 50])
        desk.report("edge-1", metrics: ["errors": 20])
        desk.pass(.minutes(1))
        for id in desk.ids() { desk.report(id, metrics: ["errors": id == "edge-1" ? 20 : 10]) }
        #expect(desk.monitor.rollout("edge")?.phase == .rolling)
        #expect(desk.report("edge-2", metrics: ["errors": 90]).rollbacks == [])
        #expect(desk.report("edge-1", metrics: ["errors": 75]).rollbacks == [1])
        #expect(desk.monitor.rollout("edge")?.why == "canary edge-1 is worse than the rest")
    }

    @Test("A rollout that is done has no late waves where the record was changed while the group did not run")
    func outdated() throws {
        var desk = desk(2)
        try change(&desk)
        for id in desk.ids() {
            desk.report(id)
            desk.pass(.seconds(6), hearing: desk.ids())
        }
        #expect(desk.monitor.rollout("edge")?.phase == .done)
        desk.user("edge", .stopped) { $0.run = .stopped }
        for id in desk.ids() {
            desk.report(id, .stopped)
        }
        try change(&desk, to: Samples.first)
        desk.user("edge", .started) { $0.run = .running }
        for id in desk.ids() { desk.report(id) }
        desk.pass(.minutes(15), hearing: desk.ids())
        #expect(digests(desk) == ["a", "a"])
        let late = desk.history.filter { $0.kind == .rolloutWave }
        #expect(late.count == 2)
        #expect(desk.monitor.groupStatus("edge")?.phase == .converged)
    }

    @Test(
        "What a manager of before wrote otherwise in `env` restarts nothing: not with another count, nor with a start")
    func writtenOtherwise() throws {
        let port = EnvironmentEntry(name: "PORT", value: .value(.number(7)))
        var desk = Desk(converged: Samples.group(count: 2, environment: [port]))
        var machines = desk.monitor.machines(of: "edge")
        for index in machines.indices { machines[index].wanted.order?.environment["PORT"] = .plain("007") }
        let group = try #require(desk.monitor.group("edge"))
        desk.monitor = Monitor(
            groups: [group], machines: machines, acts: [], releases: ["edge": desk.monitor.releases(of: "edge")],
            at: desk.now)
        desk.send(.hearing)
        for id in ["edge-1", "edge-2"] { desk.repeatStatus(id) }
        desk.user("edge", .revised) { $0.definition.machines.count = 3 }
        desk.user("edge", .started) { $0.run = .running }
        desk.pass(.minutes(1), hearing: ["edge-1", "edge-2"])
        let orders = ["edge-1", "edge-2"].map { desk.monitor.machine($0)?.wanted.order }
        #expect(orders == machines.map(\.wanted.order))
        // With what is asked of it next it gets the text of today.
        desk.user("edge", .revised) {
            $0.definition.environment.append(EnvironmentEntry(name: "REGION", value: .value(.string("north"))))
        }
        #expect(
            desk.monitor.machine("edge-1")?.wanted.order?.environment == [
                "PORT": .plain("7"), "REGION": .plain("north"),
            ])
    }

    @Test(
        "The canaries' time ends while the rollout is paused, or nobody can be heard: nothing is due for ever, and it goes on later",
        arguments: [true, false])
    func canaryTimeInPause(isPaused: Bool) throws {
        var desk = desk { $0.canary = .init(machines: 1, holds: .minutes(10)) }
        try change(&desk)
        desk.report("edge-1")
        desk.pass(.seconds(6), hearing: desk.ids())
        desk.send(isPaused ? .rollout("edge", .pause(by: "ada", why: nil)) : .deaf(reason: "the broker is away"))
        desk.pass(.minutes(11))
        #expect(digests(desk) == ["b", "a", "a"])
        desk.send(isPaused ? .rollout("edge", .resume(by: "ada")) : .hearing)
        for id in desk.ids() { desk.repeatStatus(id) }
        desk.pass(.seconds(40), hearing: desk.ids())
        #expect(desk.monitor.rollout("edge")?.phase == .waiting)
        desk.send(.rollout("edge", .promote(by: "ada")))
        #expect(digests(desk) == ["b", "b", "a"])
    }

    @Test("A newer revision takes its place: machines go straight to the newest")
    func superseded() throws {
        var desk = desk()
        try change(&desk)
        try change(&desk, to: Samples.digest("c"))
        #expect(digests(desk) == ["c", "a", "a"])
        for id in desk.ids() {
            desk.report(id)
            desk.pass(.seconds(6), hearing: desk.ids())
        }
        #expect(digests(desk) == ["c", "c", "c"])
        #expect(desk.history.filter { $0.kind == .machineOrdered && $0.facts["digest"] == Samples.second }.count == 1)
    }

    @Test("Who comes while others are changed begins with what is good, and goes through the gate after them")
    func newcomer() throws {
        var desk = desk(2)
        try change(&desk)
        desk.user("edge", .revised) { $0.definition.machines.count = 3 }
        desk.join("edge-3")
        #expect(digests(desk) == ["b", "a", "a"])
        for id in ["edge-3", "edge-1", "edge-2"] { desk.report(id) }
        desk.pass(.seconds(6), hearing: desk.ids())
        #expect(digests(desk) == ["b", "b", "a"])
        desk.report("edge-2")
        desk.pass(.seconds(6), hearing: desk.ids())
        #expect(digests(desk) == ["b", "b", "b"])
    }

    @Test("While too many are away, or nobody can be heard, no machine is changed")
    func holds() throws {
        var desk = desk(5)
        for id in ["edge-3", "edge-4", "edge-5"] { desk.will(id) }
        try change(&desk)
        #expect(digests(desk) == ["a", "a", "a", "a", "a"])
        desk.pass(.seconds(20), hearing: ["edge-1", "edge-2"])
        #expect(digests(desk) == ["a", "a", "a", "a", "a"])
        for id in ["edge-3", "edge-4", "edge-5"] {
            desk.reconnect(id)
            desk.report(id)
        }
        desk.pass(.seconds(10), hearing: desk.ids())
        #expect(digests(desk) == ["b", "a", "a", "a", "a"])
        desk.send(.deaf(reason: "no connection"))
        desk.report("edge-1")
        desk.pass(.seconds(20))
        #expect(digests(desk) == ["b", "a", "a", "a", "a"])
    }

    @Test("What waits until everybody was heard goes on when the last one who was not leaves")
    func lastOneLeaves() throws {
        var desk = desk()
        desk.restartManager()
        for id in ["edge-1", "edge-2"] { desk.repeatStatus(id) }
        var record = try #require(desk.monitor.group("edge")).asking(for: Samples.second)
        record.definition.machines.count = 2
        desk.user(record, .revised)
        #expect(desk.monitor.machine("edge-3")?.phase == .leaving)
        #expect(digests(desk).prefix(2) == ["b", "a"])
    }

    @Test("What waits while too many are away goes on when one comes back that the change does not concern")
    func strangerComesBack() throws {
        var policy = Self.policy
        policy.drain = nil
        var desk = Desk(converged: Samples.group(count: 4, platform: .none, rollout: policy))
        for id in ["edge-x1", "edge-x2", "edge-x3"] { desk.will(id) }
        desk.pass(.seconds(40), hearing: ["edge-x0"])
        var record = try #require(desk.monitor.group("edge")).asking(for: Samples.second)
        record.definition.machines.count = 1
        desk.user(record, .revised)
        #expect(digests(desk).first == "a")
        desk.reconnect("edge-x3")
        desk.repeatStatus("edge-x3")
        #expect(digests(desk).first == "b")
    }

    @Test("A restart of the group, and a secret that was set anew, go through it in waves as well")
    func restart() {
        var desk = desk()
        desk.send(.restartGroup("edge", by: "ada"))
        func generations() -> [Int?] { desk.ids().map { desk.monitor.machine($0)?.wanted.order?.generation } }
        #expect(generations() == [2, 1, 1])
        desk.report("edge-1")
        desk.pass(.seconds(6), hearing: desk.ids())
        #expect(generations() == [2, 2, 1])
    }

    @Test("A machine is told apart by what it waits for in the wave, and why")
    func explained() throws {
        var desk = desk(drains: true)
        for id in desk.ids() { desk.report(id, metrics: ["calls": 3]) }
        try change(&desk)
        func summary(_ id: String) -> String { desk.monitor.explain(id, at: desk.now)?.summary ?? "" }
        #expect(summary("edge-1").contains("because it is given another release; metric(\"calls\") is 3; for 30m more"))
        #expect(summary("edge-2").contains("verified with kamailio@1.a, and yet to be changed"))
        #expect(summary("edge-2").contains("is yet to come, which waits for edge-1 to have nothing more to do"))
        #expect(desk.monitor.rolloutView("edge", at: desk.now)?.waits?.hasPrefix("edge-1 to have nothing") == true)
        desk.send(.rollout("edge", .pause(by: "ada", why: nil)))
        #expect(desk.monitor.rolloutView("edge", at: desk.now)?.waits?.contains("ada paused it") == true)
    }

    @Test("A record that asks nothing new of machines begins no rollout", arguments: [true, false])
    func nothingNew(scales: Bool) {
        var desk = desk()
        let number = desk.monitor.rollout("edge")?.number
        let effects = desk.user("edge", .revised) { record in
            if scales { record.definition.machines.count = 4 } else { record.definition.rules.removeLast() }
        }
        #expect(effects.orders.isEmpty)
        #expect(desk.monitor.rollout("edge")?.number == number)
        #expect(desk.monitor.group("edge")?.release == 1)
    }
}
