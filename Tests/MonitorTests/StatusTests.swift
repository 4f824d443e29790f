import Fleet
import Monitor
import Testing

@Suite("Statuses")
struct StatusTests {
    @Test("A repeated status changes nothing")
    func duplicate() {
        var desk = Desk(converged: Samples.group(count: 1))
        let status = desk.status("edge-1")
        let before = desk.monitor.machine("edge-1")
        desk.now = desk.now + .seconds(1)
        #expect(desk.send(.status(status)).isEmpty)
        #expect(desk.monitor.machine("edge-1") == before)
    }

    @Test("An older sequence number or session changes nothing, whatever it says")
    func older() {
        var desk = Desk(converged: Samples.group(count: 1))
        let old = desk.status("edge-1", .failed, reason: "long ago")
        desk.reconnect("edge-1")
        desk.report("edge-1")
        desk.report("edge-1")
        var earlier = desk.status("edge-1", .failed, reason: "a moment ago")
        earlier.sequence -= 1
        let before = desk.monitor.machine("edge-1")
        #expect(desk.send(.status(old)).isEmpty)
        #expect(desk.send(.status(earlier)).isEmpty)
        #expect(desk.monitor.machine("edge-1") == before)
    }

    @Test("A new session begins its sequence anew")
    func newSession() {
        var desk = Desk(converged: Samples.group(count: 1))
        for _ in 0..<5 { desk.repeatStatus("edge-1") }
        desk.reconnect("edge-1")
        desk.report("edge-1", health: .failing)
        #expect(desk.monitor.machine("edge-1")?.reported.session == 2)
        #expect(desk.monitor.machine("edge-1")?.reported.status?.software?.health == .failing)
    }

    @Test("A heartbeat that says nothing new is not worth a write")
    func quietHeartbeat() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.now = desk.now + .seconds(7)
        #expect(desk.report("edge-1", metrics: ["calls": 12]).isEmpty)
        #expect(desk.monitor.machine("edge-1")?.reported.heardAt == desk.now)
        #expect(desk.monitor.machine("edge-1")?.reported.status?.metrics == ["calls": 12])
    }

    @Test("Statuses of machines that are unknown, launching, revoked or of another group are not taken")
    func notTaken() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.user(Samples.group("core", count: 1, run: .running), .created)
        #expect(desk.report("edge-99").isEmpty)
        #expect(desk.report("core-1").isEmpty)
        var foreign = desk.status("edge-1", .failed)
        foreign.group = "core"
        foreign.sequence += 10
        #expect(desk.send(.status(foreign)).isEmpty)
        desk.send(.revokeMachine("edge-1"))
        #expect(desk.report("edge-1", .failed).isEmpty)
    }

    @Test("The last will makes a machine away at once; the will of an older session does not")
    func will() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.reconnect("edge-1")
        desk.report("edge-1")
        #expect(desk.will("edge-1", session: 1).isEmpty)
        let effects = desk.will("edge-1")
        #expect(effects.kinds == [.machineAway])
        #expect(desk.monitor.machine("edge-1")?.state == .away)
        #expect(desk.monitor.machine("edge-1")?.judged.awaySince == desk.now)
        #expect(desk.monitor.machine("edge-1")?.judged.verified == false)
        #expect(desk.monitor.groupStatus("edge")?.away == 1)
        #expect(desk.will("edge-1").isEmpty)
    }

    @Test("A will that comes when the machine is away already still says which sessions are over")
    func secondWill() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.will("edge-1")
        desk.will("edge-1", session: 4)
        desk.reconnect("edge-1")
        #expect(desk.report("edge-1").isEmpty)
        #expect(desk.monitor.machine("edge-1")?.state == .away)
    }

    @Test("Three missed heartbeats make a machine away, exactly then")
    func silence() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.repeatStatus("edge-1")
        #expect(desk.monitor.nextDeadline == desk.now + .seconds(30))
        #expect(desk.pass(.milliseconds(29_999)).isEmpty)
        #expect(desk.monitor.machine("edge-1")?.state == .running)
        #expect(desk.pass(.milliseconds(1)).kinds == [.machineAway])
        #expect(desk.monitor.machine("edge-1")?.state == .away)
    }

    @Test("The group's own heartbeat decides how long silence may last")
    func ownHeartbeat() {
        var record = Samples.group(count: 1)
        record.definition.heartbeat = .seconds(2)
        var desk = Desk(converged: record)
        desk.repeatStatus("edge-1")
        #expect(desk.pass(.milliseconds(5999)).isEmpty)
        #expect(desk.pass(.milliseconds(1)).kinds == [.machineAway])
    }

    @Test("A machine that is heard again is back, and verified again after it settled")
    func back() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.will("edge-1")
        desk.pass(.seconds(10))
        desk.reconnect("edge-1")
        let effects = desk.report("edge-1")
        #expect(effects.kinds == [.machineBack])
        #expect(effects.orders.isEmpty)
        #expect(desk.pass(.seconds(5)).kinds == [.machineVerified, .groupConverged])
        #expect(desk.monitor.machine("edge-1")?.wanted.order?.generation == 1)
    }

    @Test("A joined machine of which the platform says that it is gone is away")
    func gone() {
        var desk = Desk(converged: Samples.group(count: 1))
        let others = desk.send(.gone(machine: "edge-1", reason: "exit 9", platform: .exec("cloud")))
        #expect(others.isEmpty, "another platform's driver has nothing to say of it")
        #expect(desk.send(.gone(machine: "edge-1", reason: "exit 9", platform: .local)).kinds == [.machineAway])
        #expect(desk.pass(.milliseconds(29_999)).launches.isEmpty)
        #expect(desk.pass(.milliseconds(1)).kinds.contains(.ruleActed))
    }
}

@Suite("Verification")
struct VerificationTests {
    @Test("A machine is verified exactly after the settle time, without anything further being said")
    func settles() {
        var desk = Desk(running: Samples.group(count: 1))
        desk.join("edge-1")
        desk.report("edge-1")
        #expect(desk.monitor.machine("edge-1")?.judged.wellSince == desk.now)
        #expect(desk.pass(.milliseconds(4999)).isEmpty)
        let effects = desk.pass(.milliseconds(1))
        #expect(effects.kinds == [.machineVerified, .groupConverged])
        #expect(desk.machines["edge-1"]?.judged.verified == true)
    }

    @Test("What breaks in between starts the settle time again")
    func settlesAgain() {
        var desk = Desk(running: Samples.group(count: 1))
        desk.join("edge-1")
        desk.report("edge-1")
        desk.pass(.seconds(4))
        desk.report("edge-1", health: .failing)
        desk.pass(.seconds(1))
        desk.report("edge-1")
        #expect(desk.pass(.milliseconds(4999)).kinds.isEmpty)
        #expect(desk.pass(.milliseconds(1)).kinds.contains(.machineVerified))
    }

    @Test(
        "What is not what the order asks for is not verified",
        arguments: [
            "receiving", "another digest", "an older generation", "an order not accepted", "unknown health",
        ])
    func notWell(_ what: String) {
        var desk = Desk(running: Samples.group(count: 1, rules: [Samples.replaceLost]))
        desk.join("edge-1")
        switch what {
        case "receiving": desk.report("edge-1", .receiving, digest: Samples.first)
        case "another digest": desk.report("edge-1", digest: Samples.second)
        case "an older generation": desk.report("edge-1", generation: 0)
        case "an order not accepted": desk.report("edge-1", order: 0)
        default: desk.report("edge-1", health: .unknown)
        }
        #expect(!desk.pass(.seconds(20), hearing: ["edge-1"]).kinds.contains(.machineVerified))
    }

    @Test("Software without a health check is well while it runs")
    func withoutHealthCheck() {
        var record = Samples.group(count: 1)
        record.manifest.health = nil
        var desk = Desk(running: record)
        desk.join("edge-1")
        desk.report("edge-1", health: .unknown)
        #expect(desk.pass(.seconds(5)).kinds == [.machineVerified, .groupConverged])
    }

    @Test("The group converges once, when its last machine is verified, and again only after it was not so")
    func convergesOnce() {
        var desk = Desk(running: Samples.group(count: 2))
        for id in ["edge-1", "edge-2"] { desk.join(id) }
        desk.report("edge-1")
        #expect(!desk.pass(.seconds(5)).kinds.contains(.groupConverged))
        desk.report("edge-2")
        let converged = desk.pass(.seconds(5)).events(.groupConverged)
        #expect(converged.count == 1)
        #expect(converged.first?.facts["software.digest"] == Samples.first)
        #expect(desk.monitor.groupStatus("edge")?.phase == .converged)
        #expect(!desk.pass(.seconds(60), hearing: ["edge-1", "edge-2"]).kinds.contains(.groupConverged))
        desk.report("edge-1", health: .failing)
        #expect(desk.monitor.groupStatus("edge")?.phase == .converging)
        desk.report("edge-1")
        #expect(desk.pass(.seconds(5)).kinds == [.machineVerified, .groupConverged])
    }
}
