import Fleet
import Monitor
import Testing

@Suite("The platform is asked before a machine is released")
struct PlatformListTests {
    /// A platform that does not answer.
    static let silent: @Sendable (Desk, Platform) -> (running: Set<String>, remains: Set<String>)? = { _, _ in nil }

    @Test("A lost machine is replaced at its rule's time where its platform says that it runs, and the fact is seen")
    func runs() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.will("edge-1")
        #expect(desk.machines["edge-1"]?.judged.platformState == .running)
        #expect(desk.pass(.milliseconds(29_999)).releases.isEmpty)
        #expect(desk.pass(.milliseconds(1)).releases == ["edge-1"])
    }

    @Test("One that is gone is lost at once: no `for` about its state need run out", arguments: [true, false])
    func gone(saysSo: Bool) {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.vanished = ["edge-1"]
        let effects = saysSo ? desk.send(.gone(machine: "edge-1", reason: "exit 9")) : desk.will("edge-1")
        #expect(effects.releases == ["edge-1"])
        #expect(effects.events(.ruleActed).first?.facts["machine.state"] == "away")
    }

    @Test("A platform that says a machine is gone, and has it in its list, is not believed at once")
    func contradiction() {
        var desk = Desk(converged: Samples.group(count: 1))
        #expect(desk.send(.gone(machine: "edge-1", reason: "exit 9")).releases.isEmpty)
        #expect(desk.pass(.seconds(29)).releases.isEmpty)
    }

    @Test("A machine that can be heard is not gone, whatever its platform's list says")
    func listLies() {
        var desk = Desk(converged: Samples.group(count: 3))
        let effects = desk.send(.listed(platform: .local, running: [], remains: [], asked: desk.now))
        #expect(effects.releases.isEmpty && effects.kinds.isEmpty)
        #expect(desk.pass(.minutes(5), hearing: desk.ids()).isEmpty)
    }

    @Test(
        "While the platform does not answer nothing is released; it is asked again after growing pauses, and a person is told"
    )
    func silence() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.answers = Self.silent
        var effects = desk.will("edge-1")
        let before = desk.lists
        effects += desk.pass(.minutes(10))
        #expect(effects.releases.isEmpty)
        #expect(effects.events(.platformSilent).count == 1)
        #expect((10...20).contains(desk.lists - before))
        #expect(
            ExplanationTests.waits(desk, rule: Samples.replaceLost)
                == "waits until platform local says whether it runs (it is out of order)")
        desk.answers = Desk().answers
        let after = desk.pass(.minutes(1))
        #expect(after.kinds.contains(.platformBack))
        #expect(Set(after.releases) == ["edge-1"])
    }

    @Test(
        "A question of a burst that was undone, which nobody was asked, is asked again without waiting for its answer")
    func undone() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.vanished = ["edge-1"]
        desk.pass(.seconds(10))
        var ahead = desk.monitor
        let asked = ahead.handle(.gone(machine: "edge-1", reason: "exit 9"), at: desk.now)
        #expect(asked.contains(.list(platform: .local)))
        desk.goOn(from: ahead)
        let effects = desk.send(.gone(machine: "edge-1", reason: "exit 9")) + desk.pass(.seconds(5))
        #expect(effects.releases == ["edge-1"])
    }

    @Test("Many losses are few questions: one at a time, no more often than every 5 s")
    func coalesced() {
        var desk = Desk(converged: Samples.group(count: 100))
        let before = desk.lists
        for id in desk.ids() {
            desk.will(id)
            desk.pass(.milliseconds(100))
        }
        #expect((1...3).contains(desk.lists - before))
    }

    @Test("`platform.state` is a fact for rules")
    func fact() {
        let rule = Rule(
            name: "tell", when: .binary(.equal, .fact(.platformState), .value(.word("gone"))), action: .notify("gone"))
        var desk = Desk(converged: Samples.group(count: 1, rules: [rule]))
        desk.vanished = ["edge-1"]
        #expect(desk.will("edge-1").kinds.contains(.ruleNotified))
    }

    // MARK: Launches

    @Test("A launch of which nobody knows whether it succeeded stays; where the list has it, it counts as launched")
    func uncertainAndThere() {
        var desk = Desk(running: Samples.group(count: 1))
        let effects = desk.send(.launchFailed(machine: "edge-1", reason: "timed out", isCertain: false))
        #expect(effects.kinds == [.machineLaunchUncertain, .machineLaunched])
        #expect(effects.launches.isEmpty && effects.removals.isEmpty)
        #expect(desk.machines["edge-1"]?.judged.launchedAt == desk.now)
        #expect(desk.join("edge-1").orders == ["edge-1"])
    }

    @Test(
        "Where the list does not have it, it has failed: what may be left is released, and its place is tried again after a pause"
    )
    func uncertainAndNotThere() {
        var desk = Desk(running: Samples.group(count: 1))
        desk.vanished = ["edge-1"]
        let effects = desk.send(.launchFailed(machine: "edge-1", reason: "timed out", isCertain: false))
        #expect(effects.kinds == [.machineLaunchUncertain, .machineLaunchFailed])
        #expect(effects.releases == ["edge-1"])
        desk.send(.released(machine: "edge-1"))
        #expect(desk.pass(.seconds(1)).launches == ["edge-2"])
    }

    @Test("While the platform does not answer, an uncertain launch waits: nothing is paid for twice")
    func uncertainAndSilent() {
        var desk = Desk(running: Samples.group(count: 1))
        desk.answers = Self.silent
        desk.send(.launchFailed(machine: "edge-1", reason: "its driver died", isCertain: false))
        let effects = desk.pass(.minutes(30))
        #expect(effects.launches.isEmpty && effects.releases.isEmpty)
        desk.answers = Desk().answers
        #expect(desk.pass(.minutes(1)).kinds == [.platformBack, .machineLaunched])
    }

    @Test("Nothing is concluded about what was launched after the platform was asked")
    func launchedMeanwhile() {
        var desk = Desk(running: Samples.group(count: 1))
        let asked = desk.now
        desk.now = desk.now + .seconds(1)
        desk.send(.launched(machine: "edge-1"))
        #expect(desk.send(.listed(platform: .local, running: [], remains: [], asked: asked)).isEmpty)
        let later = desk.send(.listed(platform: .local, running: [], remains: [], asked: desk.now + .milliseconds(1)))
        #expect(later.releases == ["edge-1"])
    }

    // MARK: What no record knows

    @Test("What no record knows is released when it is still there a minute later, and no machine gets its name")
    func stranger() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.answers = { _, _ in (["edge-1", "edge-7"], []) }
        let effects = desk.send(.driverBack(.local))
        #expect(effects.events(.machineUnknown).map(\.machine) == ["edge-7"])
        #expect(desk.groups["edge"]?.nextSerial == 8)
        let soon = desk.pass(.seconds(59), hearing: ["edge-1"]) + desk.pass(.milliseconds(999))
        #expect(!soon.contains(.releaseUnknown(machine: "edge-7", platform: .local)))
        #expect(desk.pass(.milliseconds(1)).contains(.releaseUnknown(machine: "edge-7", platform: .local)))
        let later = desk.pass(.minutes(3), hearing: ["edge-1"])
        #expect(later.events(.machineUnknown).isEmpty)
        #expect(later.contains(.releaseUnknown(machine: "edge-7", platform: .local)))
        #expect(!later.releases.contains("edge-1"))
    }

    @Test("A platform that invents names uses up none")
    func inventedNames() {
        var desk = Desk(converged: Samples.group(count: 2))
        let next = desk.monitor.group("edge")?.nextSerial
        for serial in ["1001003", "999999999", "4503599627370494"] {
            let running = Set(desk.ids() + ["edge-\(serial)"])
            let effects = desk.send(.listed(platform: .local, running: running, remains: [], asked: desk.now))
            #expect(effects.kinds == [.machineUnknown])
        }
        #expect(next == 3 && desk.monitor.group("edge")?.nextSerial == next)
    }

    @Test("One that is gone by then was on its way out: nothing is released")
    func passing() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.answers = { _, _ in (["edge-1"], ["edge-7"]) }
        desk.send(.driverBack(.local))
        desk.answers = { _, _ in (["edge-1"], []) }
        let effects = desk.pass(.minutes(5), hearing: ["edge-1"])
        #expect(effects.isEmpty)
    }

    @Test("A launch that comes to be although it was said to have failed is found and released")
    func late() {
        var desk = Desk(running: Samples.group(count: 1))
        desk.answers = { _, _ in (["edge-1", "edge-2"], []) }
        desk.send(.launchFailed(machine: "edge-1", reason: "no room"))
        let effects = desk.pass(.minutes(3))
        #expect(effects.launches == ["edge-2"])
        #expect(effects.contains(.releaseUnknown(machine: "edge-1", platform: .local)))
    }

    // MARK: Given up

    @Test("A person forgets machines whose platform is gone for good; those that can be heard stay")
    func forget() {
        var desk = Desk(converged: Samples.group(count: 3))
        desk.answers = Self.silent
        desk.will("edge-1")
        desk.send(.replaceMachine("edge-2"))
        let effects = desk.send(.forgetMachines(of: "edge"))
        #expect(effects.removals == ["edge-1", "edge-2"])
        #expect(effects.events(.machineForgotten).map(\.machine) == ["edge-1", "edge-2"])
        #expect(effects.launches == ["edge-4", "edge-5"])
        #expect(desk.machines["edge-3"]?.phase == .joined)
    }

    @Test("So does a group that was deleted while its platform was gone")
    func forgetDeleted() {
        var desk = Desk(converged: Samples.group(count: 2))
        desk.send(.groupDeleted("edge"))
        #expect(desk.send(.forgetMachines(of: "edge")).removals == ["edge-1", "edge-2"])
        #expect(desk.monitor.machines(of: "edge").isEmpty)
    }
}
