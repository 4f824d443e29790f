import Fleet
import Monitor
import Testing

@Suite("Launching and joining")
struct LaunchTests {
    @Test("A created group launches nothing; started, it launches its count, one machine a place")
    func startLaunches() {
        var desk = Desk()
        #expect(desk.user(Samples.group(), .created).launches.isEmpty)
        #expect(desk.monitor.groupStatus("edge")?.phase == .defined)
        let effects = desk.user("edge", .started) { $0.run = .running }
        #expect(effects.launches == ["edge-1", "edge-2", "edge-3"])
        #expect(desk.machines.values.map(\.index).sorted() == [0, 1, 2])
        #expect(desk.groups["edge"]?.nextSerial == 4)
        #expect(desk.monitor.groupStatus("edge")?.phase == .converging)
    }

    @Test("What must be durable stands before what it leads to")
    func savesComeFirst() throws {
        var desk = Desk()
        desk.user(Samples.group(), .created)
        let effects = desk.user("edge", .started) { $0.run = .running }
        let lastSave = try #require(
            effects.lastIndex {
                switch $0 {
                case .saveGroup, .saveMachine: true
                default: false
                }
            })
        let firstLaunch = try #require(effects.firstIndex { if case .launch = $0 { true } else { false } })
        #expect(lastSave < firstLaunch)
    }

    @Test("A registration is answered by the first order")
    func firstOrder() throws {
        var desk = Desk(running: Samples.group())
        let effects = desk.join("edge-1")
        #expect(effects.orders == ["edge-1"])
        #expect(effects.kinds == [.machineRegistered, .machineOrdered])
        let machine = try #require(desk.machines["edge-1"])
        #expect(machine.phase == .joined)
        #expect(machine.identity.fingerprint == "f-edge-1")
        #expect(machine.wanted.order?.generation == 1)
        #expect(machine.wanted.order?.action == .run)
        #expect(machine.wanted.order?.digest == Samples.first)
    }

    @Test("The same registration again brings the order again, and nothing else")
    func repeatedRegistration() {
        var desk = Desk(running: Samples.group())
        desk.join("edge-1")
        #expect(desk.join("edge-1") == [.sendOrder(machine: "edge-1", group: "edge")])
    }

    @Test("A registration in a group that the machine does not belong to changes nothing")
    func foreignRegistration() {
        var desk = Desk(running: Samples.group())
        desk.user(Samples.group("core", count: 1, platform: .none, run: .running), .created)
        #expect(desk.join("edge-1", "core").isEmpty)
        #expect(desk.join("edge-1", "nowhere").isEmpty)
        #expect(desk.monitor.machine("edge-1")?.phase == .launching)
    }

    @Test("A failed launch is tried again after 1, 2, 4 … 60 seconds, under a new serial")
    func launchBackoff() {
        var desk = Desk(running: Samples.group(count: 1))
        var waits: [Int64] = []
        for attempt in 1...9 {
            let id = "edge-\(attempt)"
            let effects = desk.send(.launchFailed(machine: id, reason: "no room"))
            #expect(effects.removals == [id])
            #expect(effects.events(.machineLaunchFailed).first?.facts["reason"] == "no room")
            #expect(effects.launches.isEmpty)
            let failed = desk.now
            while desk.monitor.machine("edge-\(attempt + 1)") == nil, let next = desk.monitor.nextDeadline {
                desk.pass(next - desk.now)
            }
            waits.append((desk.now - failed).milliseconds / 1000)
        }
        #expect(waits == [1, 2, 4, 8, 16, 32, 60, 60, 60])
    }

    @Test("A registration forgets the failures before it")
    func backoffStartsAgain() {
        var desk = Desk(running: Samples.group(count: 1))
        for attempt in 1...3 {
            desk.send(.launchFailed(machine: "edge-\(attempt)", reason: "no room"))
            desk.pass(.seconds(8))
        }
        desk.join("edge-4")
        desk.send(.replaceMachine("edge-4"))
        desk.report("edge-4", .stopped)
        desk.send(.released(machine: "edge-4"))
        desk.send(.launchFailed(machine: "edge-5", reason: "no room"))
        #expect(desk.pass(.milliseconds(999)).launches.isEmpty)
        #expect(desk.pass(.milliseconds(1)).launches == ["edge-6"])
    }

    @Test("A machine that does not register within `boot_timeout` of its launch is released, and its place filled anew")
    func silentLaunch() {
        var desk = Desk(running: Samples.group(count: 1).changed { $0.definition.machines.bootTimeout = .minutes(2) })
        // The platform takes its time: that is not the machine's.
        desk.pass(.minutes(5))
        desk.send(.launched(machine: "edge-1"))
        #expect(desk.pass(.milliseconds(119_999)).isEmpty)
        let effects = desk.pass(.milliseconds(1))
        #expect(effects.kinds == [.machineLaunchFailed])
        #expect(effects.releases == ["edge-1"])
        desk.send(.released(machine: "edge-1"))
        #expect(desk.pass(.seconds(1)).launches == ["edge-2"])
        #expect(desk.machines["edge-2"]?.index == 0)
    }

    @Test("A machine that ends before it registered counts as a failed launch, and what is left of it is released")
    func endsBeforeItRegisters() {
        var desk = Desk(running: Samples.group(count: 1))
        let effects = desk.send(.gone(machine: "edge-1", reason: "exit 1"))
        #expect(effects.kinds == [.machineLaunchFailed])
        #expect(effects.releases == ["edge-1"])
        #expect(desk.send(.released(machine: "edge-1")).removals == ["edge-1"])
        #expect(desk.pass(.milliseconds(999)).launches.isEmpty)
        #expect(desk.pass(.milliseconds(1)).launches == ["edge-2"])
    }

    @Test("A release is asked for again every 30 seconds until the platform answers")
    func releaseAgain() {
        var desk = Desk(running: Samples.group(count: 1))
        #expect(desk.user("edge", .revised) { $0.definition.machines.count = 0 }.releases == ["edge-1"])
        #expect(desk.pass(.milliseconds(29_999)).releases.isEmpty)
        #expect(desk.pass(.milliseconds(1)).releases == ["edge-1"])
        #expect(desk.pass(.seconds(30)).releases == ["edge-1"])
        #expect(desk.send(.released(machine: "edge-1")).removals == ["edge-1"])
        #expect(desk.monitor.nextDeadline == nil)
    }
}

@Suite("Serials")
struct SerialTests {
    @Test("They only ever grow, also where a record that was made before the last launch comes after it")
    func grow() {
        var desk = Desk(running: Samples.group(count: 1))
        var old = desk.groups["edge"] ?? Samples.group()
        desk.send(.launchFailed(machine: "edge-1", reason: "no room"))
        desk.pass(.seconds(1))
        #expect(desk.groups["edge"]?.nextSerial == 3)
        old.definition.machines.count = 2
        let effects = desk.user(old, .revised)
        #expect(effects.launches == ["edge-3"])
        #expect(desk.groups["edge"]?.nextSerial == 4)
    }
}

@Suite("Invited machines")
struct InvitedTests {
    @Test("They take the lowest free place and are refused when the group is full")
    func places() {
        var desk = Desk(running: Samples.group(count: 2, platform: .none))
        #expect(desk.monitor.canJoin(group: "edge"))
        desk.join("edge-x0")
        desk.join("edge-x1")
        #expect(desk.machines["edge-x0"]?.index == 0)
        #expect(desk.machines["edge-x1"]?.index == 1)
        #expect(!desk.monitor.canJoin(group: "edge"))
        #expect(desk.join("edge-x2").isEmpty)
        #expect(desk.monitor.machine("edge-x2") == nil)
    }

    @Test("A revoked one's place is free again")
    func placeOfTheRevoked() {
        var desk = Desk(converged: Samples.group(count: 2, platform: .none))
        desk.send(.revokeMachine("edge-x0"))
        #expect(desk.monitor.canJoin(group: "edge"))
        desk.join("edge-x2")
        #expect(desk.machines["edge-x2"]?.index == 0)
        #expect(desk.machines["edge-x2"]?.wanted.order?.action == .run)
        #expect(!desk.monitor.canJoin(group: "edge"))
    }

    @Test("A free place is free, however many machines stand beyond the count")
    func surplusDoesNotKeepPlaces() {
        var desk = Desk(converged: Samples.group(count: 3, platform: .none))
        desk.user("edge", .revised) { $0.definition.machines.count = 2 }
        desk.send(.revokeMachine("edge-x0"))
        #expect(desk.monitor.canJoin(group: "edge"))
        desk.join("edge-x9")
        #expect(desk.machines["edge-x9"]?.index == 0)
    }

    @Test("None may join a group whose platform launches its machines")
    func notWithAPlatform() {
        var desk = Desk(running: Samples.group(count: 2))
        #expect(!desk.monitor.canJoin(group: "edge"))
        #expect(desk.join("edge-xyz").isEmpty)
        #expect(!desk.monitor.canJoin(group: "nowhere"))
    }

    @Test("One that joins before the group is started is ordered to stop, and to run when it is started")
    func joinsEarly() {
        var desk = Desk()
        desk.user(Samples.group(count: 1, platform: .none), .created)
        desk.join("edge-x0")
        #expect(desk.machines["edge-x0"]?.wanted.order?.action == .stop)
        desk.report("edge-x0", .stopped)
        #expect(desk.user("edge", .started) { $0.run = .running }.orders == ["edge-x0"])
        #expect(desk.machines["edge-x0"]?.wanted.order?.action == .run)
        #expect(desk.machines["edge-x0"]?.wanted.order?.generation == 2)
    }

    @Test("A machine that ends while its release fails is still to be released: the platform may keep something of it")
    func endsWhileReleaseFails() {
        var desk = Desk(running: Samples.group(count: 1))
        #expect(desk.user("edge", .revised) { $0.definition.machines.count = 0 }.releases == ["edge-1"])
        #expect(desk.send(.gone(machine: "edge-1", reason: "switched off")).isEmpty)
        #expect(desk.pass(.seconds(30)).releases == ["edge-1"])
        #expect(desk.send(.released(machine: "edge-1")).removals == ["edge-1"])
    }
}
