import Fleet
import Rules
import Testing

@Suite("What reports say over time")
struct ReportTests {
    private func status(calls: Double?, restarts: Int = 0, generation: Int = 1) -> Status {
        Status(
            group: "edge", machine: "edge-1", session: 1, sequence: 1, at: at(0), state: .running,
            software: RunningSoftware(
                name: "kamailio", version: "5.6.3", digest: "d1", generation: generation, health: .passing,
                since: at(0), restarts: restarts), metrics: calls.map { ["calls_total": $0] } ?? [:])
    }

    private func value(_ expression: Expression, _ machine: MachineRecord, at now: Timestamp = at(0)) -> FactValue? {
        var scope = scope(machine)
        scope.now = now
        return scope.value(of: expression)
    }

    @Test("A counter grows by so much a second between the two last reports; one that fell began anew at 0")
    func rates() {
        var machine = machine(reported: false)
        func take(_ calls: Double?, _ seconds: Int64) -> FactValue? {
            machine.reported.take(status(calls: calls), counters: ["calls_total"], at: at(seconds))
            return value(.rate("calls_total"), machine)
        }
        #expect(take(100, 0) == nil)
        #expect(take(150, 10) == .number(5))
        #expect(take(150, 20) == .number(0))
        #expect(take(30, 30) == .number(3), "it fell: 30 since it was reset")
        #expect(take(nil, 40) == nil, "a report without it ends what is known")
        #expect(take(50, 50) == nil)
        #expect(take(60, 55) == .number(2))
    }

    @Test(
        "A report that comes within a second of the last one says nothing of a rate, and is not what the next is measured from"
    )
    func shortest() {
        var machine = machine(reported: false)
        for (calls, instant) in [(0.0, at(0)), (10, at(10)), (900, at(10) + .milliseconds(999))] {
            machine.reported.take(status(calls: calls), counters: ["calls_total"], at: instant)
        }
        #expect(value(.rate("calls_total"), machine) == .number(1))
        machine.reported.take(status(calls: 30), counters: ["calls_total"], at: at(20))
        #expect(value(.rate("calls_total"), machine) == .number(2))
    }

    @Test("Only counters that somebody asks for are kept")
    func bounded() {
        var machine = machine(reported: false)
        machine.reported.take(status(calls: 1), counters: [], at: at(0))
        #expect(machine.reported.rates.isEmpty)
        machine.reported.take(status(calls: 1), counters: ["calls_total", "other"], at: at(0))
        #expect(machine.reported.rates.keys.sorted() == ["calls_total"])
        machine.reported.take(status(calls: 1), counters: [], at: at(10))
        #expect(machine.reported.rates.isEmpty)
    }

    @Test("Restarts are counted in a span; a new generation begins at 0, and the oldest are forgotten")
    func restarts() {
        var machine = machine(reported: false)
        func take(_ restarts: Int, generation: Int = 1, _ seconds: Int64) {
            machine.reported.take(
                status(calls: nil, restarts: restarts, generation: generation), counters: [], at: at(seconds))
        }
        take(0, 0)
        take(1, 100)
        take(1, 200)
        take(3, 300)
        take(0, generation: 2, 400)
        take(1, generation: 2, 500)
        #expect(machine.reported.restartedAt == [at(100), at(300), at(300), at(500)])
        #expect(value(.restarts(.seconds(300)), machine, at: at(599)) == .number(3))
        #expect(value(.restarts(.seconds(300)), machine, at: at(600)) == .number(1))
        #expect(value(.restarts(.seconds(300)), machine, at: at(800)) == .number(0))
        #expect(scope(machine).value(of: .restarts(.hours(1))) == nil, "without a time nothing is known")
        take(1_000_000, generation: 2, 900)
        #expect(machine.reported.restartedAt.count == MachineRecord.Reported.mostRestarts)
    }

    @Test("A rule that counts restarts is judged again when one of them falls out of its span")
    func changes() throws {
        var machine = machine(reported: false)
        machine.reported.restartedAt = [at(0), at(100)]
        let rule = Rule(
            name: "r", when: .binary(.less, .restarts(.seconds(200)), number(1)), action: .notify("calm again"))
        func judge(_ seconds: Int64) throws -> Judgement {
            try #require(
                RuleEngine.judge([rule], in: scope(machine), held: [:], acts: { _ in [] }, at: at(seconds)).first)
        }
        #expect(try judge(150).changes == at(200))
        #expect(try judge(200).changes == at(300))
        #expect(try judge(299).holds == false)
        #expect(try judge(300).holds && judge(300).changes == nil)
    }

    @Test("A label is the group's; a window is open, closed, or not known, and then its condition is false either way")
    func labelsAndWindows() {
        let window = Window(from: 60, to: 300, zone: "Europe/Paris")
        var scope = scope(machine())
        scope.group.definition.machines.labels = ["site": "den"]
        #expect(scope.holds(.binary(.equal, .label("site"), .value(.string("den")))))
        #expect(!scope.holds(.binary(.notEqual, .label("rack"), .value(.string("den")))))
        #expect(!scope.holds(.window(window)) && !scope.holds(.unary(.not, .window(window))))
        scope.windows = [window: true]
        #expect(scope.holds(.window(window)))
        scope.windows = [window: false]
        #expect(scope.holds(.unary(.not, .window(window))))
        #expect(Expression.window(window).facts(in: scope) == ["between 01:00 and 05:00 in \"Europe/Paris\"": "closed"])
    }
}
