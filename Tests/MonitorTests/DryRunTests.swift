import Fleet
import Monitor
import Testing

@Suite("Dry runs, windows and restarts")
struct DryRunTests {
    @Test(
        "A dry rule does nothing and says once for each occurrence what it would have done; explain says that it is dry"
    )
    func dry() throws {
        var rule = Samples.restartFailing
        rule.isDry = true
        var desk = Desk(converged: Samples.group(count: 1, rules: [rule]))
        desk.report("edge-1", health: .failing)
        let waits = try #require(desk.monitor.explain("edge-1", at: desk.now)?.rules.first?.waits)
        #expect(waits.hasPrefix("dry run: would act in 10s"))
        #expect(desk.pass(.milliseconds(9999)).events(.ruleWouldAct).isEmpty)
        let effects = desk.pass(.milliseconds(1))
        #expect(
            effects.events(.ruleWouldAct).map(\.message) == [
                "would have: restart edge-1: software.health is failing for 10s"
            ])
        let later = desk.pass(.minutes(20), hearing: ["edge-1"])
        #expect((effects + later).orders.isEmpty && later.events(.ruleWouldAct).isEmpty)
        let said = try #require(desk.monitor.explain("edge-1", at: desk.now)?.rules.first?.waits)
        #expect(said.hasPrefix("dry run: has said"))
        desk.restartManager()
        #expect(desk.pass(.minutes(1), hearing: ["edge-1"]).events(.ruleWouldAct).count <= 1)
        desk.report("edge-1")
        desk.report("edge-1", health: .failing)
        #expect(desk.pass(.seconds(10)).events(.ruleWouldAct).count == 1)
        #expect(desk.history.allSatisfy { $0.kind != .ruleActed })
    }

    @Test("A dry rule of the group scales nothing")
    func dryScale() {
        let rule = Rule(name: "grow", when: Samples.isLoaded, action: .scale(1), isDry: true)
        var desk = Desk(converged: Samples.group(count: 1, minimum: 1, maximum: 5, rules: [rule]))
        var effects = desk.report("edge-1", metrics: ["calls": 100])
        effects += desk.pass(.seconds(10), hearing: ["edge-1"])
        #expect(effects.scales.isEmpty)
        #expect(effects.events(.ruleWouldAct).count == 1)
    }

    private static let window = Window(from: 60, to: 300, zone: "Europe/Paris")

    @Test("A rule with a window acts only while it is open; before it is known it does not act either")
    func window() {
        let rule = Rule(
            name: "restart at night", when: .binary(.and, Samples.isFailing, .window(Self.window)), action: .restart,
            limit: Rule.Limit(count: 1, per: .hours(1)))
        var desk = Desk(converged: Samples.group(count: 1, rules: [rule]))
        #expect(desk.monitor.namedWindows == [Self.window])
        desk.report("edge-1", health: .failing)
        #expect(desk.pass(.hours(1), hearing: ["edge-1"]).orders.isEmpty)
        #expect(desk.send(.windows([Self.window: false])).orders.isEmpty)
        #expect(desk.send(.windows([Self.window: true])).orders == ["edge-1"])
        RuleTests.failAgain(&desk)
        desk.send(.windows([Self.window: false]))
        #expect(desk.pass(.hours(3), hearing: ["edge-1"]).orders.isEmpty)
    }

    @Test("`for` counts within one opening: what closes begins anew")
    func heldInWindow() {
        let rule = Rule(
            name: "restart at night", when: .binary(.and, Samples.isFailing, .window(Self.window)),
            holds: .minutes(10), action: .restart)
        var desk = Desk(converged: Samples.group(count: 1, rules: [rule]))
        desk.report("edge-1", health: .failing)
        desk.send(.windows([Self.window: true]))
        #expect(desk.pass(.minutes(9), hearing: ["edge-1"]).orders.isEmpty)
        desk.send(.windows([Self.window: false]))
        desk.send(.windows([Self.window: true]))
        #expect(desk.pass(.minutes(9), hearing: ["edge-1"]).orders.isEmpty)
        #expect(desk.pass(.minutes(1), hearing: ["edge-1"]).orders == ["edge-1"])
    }

    @Test("A group's rule with a window alone acts at each opening, and other groups are not looked at")
    func openings() {
        let rule = Rule(name: "tell", when: .window(Self.window), action: .notify("good night"))
        var desk = Desk(converged: Samples.group(count: 1, rules: [rule]))
        for _ in 0..<3 {
            #expect(desk.send(.windows([Self.window: true])).events(.ruleNotified).count == 1)
            desk.pass(.hours(1), hearing: ["edge-1"])
            #expect(desk.send(.windows([Self.window: false])).events(.ruleNotified).isEmpty)
            desk.pass(.hours(1), hearing: ["edge-1"])
        }
    }

    @Test("Restarts in a span make a rule act, and no more once they are past; they outlive the manager")
    func restarts() {
        let rule = Rule(
            name: "flaps", when: .binary(.greaterOrEqual, .restarts(.minutes(10)), .value(.number(3))),
            action: .notify("it flaps"))
        var desk = Desk(converged: Samples.group(count: 1, rules: [rule]))
        func restart(_ desk: inout Desk, _ restarts: Int) -> [Monitor.Effect] {
            var status = desk.status("edge-1")
            status.software?.restarts = restarts
            status.sequence = 1000 + restarts
            return desk.send(.status(status))
        }
        #expect(restart(&desk, 1).events(.ruleNotified).isEmpty)
        desk.pass(.minutes(4))
        #expect(restart(&desk, 2).events(.ruleNotified).isEmpty)
        #expect(desk.machines["edge-1"]?.reported.restartedAt.count == 2)
        #expect(restart(&desk, 3).events(.ruleNotified).count == 1)
        #expect(restart(&desk, 4).events(.ruleNotified).isEmpty)
        // 10 minutes on none is left, which no report says.
        desk.pass(.minutes(10))
        #expect(desk.monitor.machine("edge-1")?.judged.held.isEmpty == true)
    }
}
