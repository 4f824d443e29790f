import Fleet
import Monitor
import Testing

@Suite("Agents and records that were restored, and identities that were copied")
struct IdentityTests {
    /// A status of another agent or session than the desk's own.
    static func status(
        _ desk: Desk, session: Int, sequence: Int, holder: String? = nil, order: Int? = nil
    ) -> Status {
        var status = desk.status("edge-1", order: order)
        (status.session, status.sequence, status.holder) = (session, sequence, holder)
        return status
    }

    @Test("An agent whose sessions are behind is told from which one to go on, and taken once it does so")
    func behind() {
        var desk = Desk(converged: Samples.group(count: 1))
        for _ in 0..<5 {
            desk.reconnect("edge-1")
            desk.report("edge-1")
        }
        desk.will("edge-1")
        desk.pass(.seconds(5))
        #expect(desk.send(.status(Self.status(desk, session: 2, sequence: 1))).isEmpty, "an old message may come once")
        let effects = desk.send(.status(Self.status(desk, session: 2, sequence: 2)))
        #expect(effects.kinds == [.machineBehind])
        #expect(effects.orders == ["edge-1"])
        #expect(desk.machines["edge-1"]?.wanted.sessionFloor == 7)
        #expect(desk.monitor.machine("edge-1")?.reported.status?.session == 6, "it is never applied")
        let heard = desk.send(.status(Self.status(desk, session: 7, sequence: 1)))
        #expect(heard.kinds == [.machineBack])
        #expect(desk.machines["edge-1"]?.wanted.sessionFloor == nil)
    }

    @Test(
        "One status with a number that nobody comes to by counting locks nobody out",
        arguments: [(1 << 53) - 1, (1 << 52) - 1, 1 << 33])
    func leap(number: Int) {
        var desk = Desk(converged: Samples.group(count: 1))
        let before = desk.monitor.machine("edge-1")
        var effects = desk.send(.status(Self.status(desk, session: number, sequence: 1)))
        effects += desk.send(
            .status(Self.status(desk, session: (before?.reported.session ?? 0) + 1, sequence: 1, order: number)))
        var will = Self.status(desk, session: number, sequence: 0)
        will.state = .away
        effects += desk.send(.status(will))
        #expect(effects.kinds == [.machineAhead] && effects.orders.isEmpty)
        #expect(desk.monitor.machine("edge-1") == before)
        desk.reconnect("edge-1")
        desk.report("edge-1")
        #expect(desk.monitor.machine("edge-1")?.reported.session == (before?.reported.session ?? 0) + 1)
        #expect(desk.monitor.machine("edge-1")?.judged.awaySince == nil)
    }

    @Test("The event comes once an hour, the order once a heartbeat")
    func behindForLong() {
        var desk = Desk(converged: Samples.group(count: 1, platform: .none).changed { _ in })
        desk.will("edge-x0", session: 9)
        var effects: [Monitor.Effect] = []
        for sequence in 1...120 {
            var status = desk.status("edge-x0")
            (status.session, status.sequence) = (2, sequence)
            effects += desk.send(.status(status)) + desk.pass(.seconds(60))
        }
        #expect(effects.events(.machineBehind).count == 2)
        #expect(effects.orders.count == 119)
    }

    @Test("A machine that is being mended is not replaced meanwhile, for at most ten minutes")
    func mending() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.will("edge-1", session: 9)
        var effects: [Monitor.Effect] = []
        for sequence in 1...59 {
            effects += desk.send(.status(Self.status(desk, session: 2, sequence: sequence))) + desk.pass(.seconds(10))
        }
        #expect(effects.releases.isEmpty)
        for sequence in 60...64 {
            effects += desk.send(.status(Self.status(desk, session: 2, sequence: sequence))) + desk.pass(.seconds(10))
        }
        #expect(Set(effects.releases) == ["edge-1"])
    }

    @Test("Old messages said again, one or a thousand times, do nothing to a machine that can be heard")
    func replayed() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.reconnect("edge-1")
        desk.report("edge-1")
        var effects: [Monitor.Effect] = []
        for sequence in 1...1000 { effects += desk.send(.status(Self.status(desk, session: 1, sequence: sequence))) }
        #expect(effects.isEmpty)
    }

    @Test("Where the records are behind, what the machine runs is kept under its own generation: nothing restarts")
    func ahead() {
        var desk = Desk(converged: Samples.group(count: 1))
        let effects = desk.report("edge-1", generation: 7, order: 7)
        #expect(effects.kinds == [.machineAhead])
        #expect(desk.machines["edge-1"]?.wanted.order?.generation == 7)
        #expect(desk.machines["edge-1"]?.judged.verified == true)
        #expect(desk.pass(.minutes(1), hearing: ["edge-1"]).isEmpty)
        #expect(desk.send(.restartMachine("edge-1")).orders == ["edge-1"])
        #expect(desk.machines["edge-1"]?.wanted.order?.generation == 8)
    }

    @Test("While it is on its way to what it has accepted, nothing is decided: it may be what the record says")
    func aheadAndStarting() {
        var desk = Desk(converged: Samples.group(count: 1))
        var effects = desk.report("edge-1", .receiving, order: 7) + desk.report("edge-1", .starting, order: 7)
        #expect(effects.orders.isEmpty)
        effects = desk.report("edge-1", generation: 7, order: 7)
        #expect(effects.kinds.contains(.machineAhead))
        #expect(desk.machines["edge-1"]?.wanted.order?.generation == 7)
    }

    @Test("What runs something else is overtaken: ordered anew, above what it has accepted")
    func overtaken() {
        var desk = Desk(converged: Samples.group(count: 1))
        let effects = desk.report("edge-1", digest: Samples.second, generation: 7, order: 7)
        #expect(effects.orders.contains("edge-1"))
        #expect((desk.machines["edge-1"]?.wanted.order?.generation ?? 0) >= 8)
        #expect(desk.machines["edge-1"]?.wanted.order?.digest == Samples.first)
        desk.report("edge-1")
        #expect(desk.pass(.seconds(5), hearing: ["edge-1"]).kinds.contains(.machineVerified))
    }

    @Test("One that accepted another order of the same number, and runs although it is to stop, is ordered anew")
    func sameNumber() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.user("edge", .stopped) { $0.run = .stopped }
        var effects: [Monitor.Effect] = []
        for _ in 0..<3 {
            effects += desk.report("edge-1", generation: 2)
            effects += desk.pass(.seconds(10))
        }
        #expect(effects.orders.isEmpty)
        #expect(desk.pass(.seconds(10), hearing: ["edge-1"]).orders == ["edge-1"])
        #expect(desk.machines["edge-1"]?.wanted.order?.generation == 3)
        #expect(desk.machines["edge-1"]?.wanted.order?.action == .stop)
    }

    @Test("Of records that were put back, orders leap ahead of what machines may have accepted, until they were heard")
    func leap() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.monitor = Monitor(
            groups: Array(desk.groups.values), machines: Array(desk.machines.values), acts: [], at: desk.now,
            areRestored: true)
        desk.send(.hearing)
        desk.send(.restartMachine("edge-1"))
        #expect(desk.machines["edge-1"]?.wanted.order?.generation == 1002)
        desk.report("edge-1")
        desk.send(.restartMachine("edge-1"))
        #expect(desk.machines["edge-1"]?.wanted.order?.generation == 1003)
    }

    @Test("A generation or session that nobody can have counted to is not believed")
    func absurd() {
        var desk = Desk(converged: Samples.group(count: 1))
        let effects = desk.report("edge-1", generation: Int.max, order: Int.max)
        #expect(effects.kinds == [.machineAhead] && effects.orders.isEmpty && effects.releases.isEmpty)
        #expect(desk.will("edge-1", session: Int.max).isEmpty)
        #expect(desk.send(.restartMachine("edge-1")).orders == ["edge-1"])
        #expect(desk.machines["edge-1"]?.wanted.order?.generation == 2)
    }

    @Test("Two agents that take the connection from each other are noticed, once an hour, and explained")
    func shared() throws {
        var desk = Desk(converged: Samples.group(count: 1))
        var effects: [Monitor.Effect] = []
        for session in 2...200 {
            let holder = session.isMultiple(of: 2) ? "aaaaaaaa" : "bbbbbbbb"
            effects += desk.send(.status(Self.status(desk, session: session, sequence: 1, holder: holder)))
            effects += desk.pass(.seconds(1))
        }
        #expect(effects.events(.machineShared).count == 1)
        let view = try #require(desk.monitor.explain("edge-1", at: desk.now))
        #expect(view.summary.contains("Two agents speak for it"))
    }

    @Test("An agent that is started again, however often, is not two")
    func restarted() {
        var desk = Desk(converged: Samples.group(count: 1))
        var effects: [Monitor.Effect] = []
        for session in 2...50 {
            effects += desk.send(
                .status(Self.status(desk, session: session, sequence: 1, holder: "0000\(1000 + session)")))
        }
        #expect(effects.events(.machineShared).isEmpty)
        #expect(desk.machines["edge-1"]?.reported.holder == "00001050")
    }

    @Test("A copy whose sessions are behind is noticed although its statuses are never applied")
    func sharedBehind() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.send(.status(Self.status(desk, session: 9, sequence: 1, holder: "aaaaaaaa")))
        let before = desk.monitor.machine("edge-1")
        var effects: [Monitor.Effect] = []
        for sequence in 1...5 {
            effects += desk.send(.status(Self.status(desk, session: 3, sequence: sequence, holder: "bbbbbbbb")))
        }
        #expect(effects.kinds == [.machineShared])
        #expect(desk.monitor.machine("edge-1") == before)
    }
}

@Suite("What flaps is one event with a count")
struct FlappingTests {
    @Test("An hour of a state that changes every second is a few lines, and the last says how often")
    func state() {
        var desk = Desk(converged: Samples.group(count: 1))
        var effects: [Monitor.Effect] = []
        for second in 0..<3600 {
            effects += desk.report("edge-1", second.isMultiple(of: 2) ? .failed : .running, reason: "try \(second)")
            effects += desk.pass(.seconds(1))
        }
        let events = effects.events.filter {
            [.machineState, .machineVerified, .machineAway, .machineBack].contains($0.kind)
        }
        #expect(events.count <= 30)
        let counts = events.compactMap { $0.facts["count"].flatMap { Int($0) } }
        #expect(counts.reduce(0, +) + events.filter { $0.facts["count"] == nil }.count >= 3000)
        #expect(events.last?.message.contains("changes like this in") == true)
    }

    @Test("A connection that comes and goes is so, too; when it is quiet again every change is told at once")
    func connection() {
        var desk = Desk(converged: Samples.group(count: 1, rules: [Samples.deliver]))
        var effects: [Monitor.Effect] = []
        for _ in 0..<600 {
            effects += desk.will("edge-1")
            desk.reconnect("edge-1")
            effects += desk.repeatStatus("edge-1") + desk.pass(.seconds(1))
        }
        #expect(effects.events.count <= 20)
        desk.pass(.minutes(30), hearing: ["edge-1"])
        #expect(desk.will("edge-1").kinds == [.machineAway])
    }

    @Test("Verification with other software is never held back")
    func verified() throws {
        var desk = Desk(converged: Samples.group(count: 1))
        for second in 0..<40 { desk.report("edge-1", second.isMultiple(of: 2) ? .failed : .running) }
        let record = try #require(desk.monitor.group("edge"))
        desk.user(record.asking(for: Samples.second), .revised)
        desk.pass(.seconds(1))
        desk.report("edge-1")
        #expect(desk.pass(.seconds(5), hearing: ["edge-1"]).kinds.contains(.machineVerified))
    }
}

@Suite("What was assigned, and what a rule stopped")
struct AssignmentTests {
    static let stop = Rule(name: "stop", when: Samples.isFailing, action: .stop)

    @Test("A restart gives the machine what it is assigned, not what the record has become", arguments: [true, false])
    func restart(byRule: Bool) throws {
        // No rule delivers.
        var desk = Desk(
            converged: Samples.group(count: 1, rules: byRule ? [Samples.restartFailing] : [Samples.replaceLost]))
        let record = try #require(desk.monitor.group("edge"))
        desk.user(record.asking(for: Samples.second), .revised)
        if byRule {
            desk.report("edge-1", health: .failing)
            desk.pass(.seconds(10))
        } else {
            desk.send(.restartMachine("edge-1"))
        }
        #expect(desk.machines["edge-1"]?.wanted.order?.generation == 2)
        #expect(desk.machines["edge-1"]?.wanted.order?.digest == Samples.first)
    }

    @Test("What a rule stopped stays so over unrelated revisions, other software and a restart of the manager")
    func staysStopped() throws {
        var desk = Desk(converged: Samples.group(count: 1, rules: [Samples.deliver, Self.stop]))
        desk.report("edge-1", health: .failing)
        desk.report("edge-1", .stopped)
        #expect(desk.machines["edge-1"]?.wanted.stoppedBy == "stop")
        var effects = desk.user("edge", .revised) { $0.definition.environment = ChangeTests.environment }
        let record = try #require(desk.monitor.group("edge"))
        effects += desk.user(record.asking(for: Samples.second), .revised)
        desk.restartManager()
        effects += desk.pass(.minutes(5), hearing: ["edge-1"])
        #expect(effects.orders.allSatisfy { _ in desk.machines["edge-1"]?.wanted.order?.action == .stop })
        #expect(desk.machines["edge-1"]?.wanted.order?.action == .stop)
        let view = try #require(desk.monitor.explain("edge-1", at: desk.now))
        #expect(view.summary.contains("Rule stop stopped it"))
    }

    @Test(
        "It runs again when a person starts or restarts it, or the record drops or changes that rule",
        arguments: ["start", "restart", "restart group", "drop", "change"])
    func runsAgain(_ what: String) {
        var desk = Desk(converged: Samples.group(count: 1, rules: [Samples.deliver, Self.stop]))
        desk.report("edge-1", health: .failing)
        desk.report("edge-1", .stopped)
        switch what {
        case "start": desk.user("edge", .started) { $0.run = .running }
        case "restart": desk.send(.restartMachine("edge-1"))
        case "restart group": desk.send(.restartGroup("edge"))
        case "drop": desk.user("edge", .revised) { $0.definition.rules = [Samples.deliver] }
        default: desk.user("edge", .revised) { $0.definition.rules[1].holds = .minutes(5) }
        }
        #expect(desk.machines["edge-1"]?.wanted.order?.action == .run)
        #expect(desk.machines["edge-1"]?.wanted.stoppedBy == nil)
    }

    @Test("Acts are kept by rule and place, in no history, and forgotten with their rule")
    func acts() {
        let rule = Rule(
            name: "restart", when: Samples.isFailing, action: .restart, limit: Rule.Limit(count: 2, per: .hours(1)))
        var desk = Desk(converged: Samples.group(count: 1, rules: [rule]))
        for _ in 0..<5 {
            desk.report("edge-1", health: .failing)
            desk.report("edge-1", health: .failing)
            desk.pass(.seconds(1))
        }
        #expect(desk.acts.values.map(\.times.count) == [2])
        #expect(desk.acts.values.first?.index == 0)
        desk.restartManager()
        desk.repeatStatus("edge-1")
        #expect(desk.report("edge-1", health: .failing).orders.isEmpty)
        desk.user("edge", .revised) { $0.definition.rules = [Samples.deliver] }
        #expect(desk.acts.values.map(\.times) == [[]])
    }
}
