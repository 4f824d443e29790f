import Fleet
import TestSupport
import Testing

@testable import Monitor

@Suite("A change of a group of thousands")
struct CrowdChangeTests {
    private static let count = 1100

    /// All of them joined while the group did not run.
    private static func desk() -> Desk {
        var desk = Desk()
        let record = Samples.group(
            count: count, platform: .none, rules: Rule.defaults,
            rollout: RolloutPolicy(batch: .percent(100), settle: .seconds(5), maxFailed: count))
        desk.user(record, .created)
        for number in 0..<count { desk.join("edge-x\(number)") }
        for id in desk.ids() { desk.report(id, .idle) }
        return desk
    }

    private static func ordered(_ effects: [Monitor.Effect]) -> [String] {
        effects.compactMap { if case .sendOrder(let machine, _) = $0 { machine } else { nil } }
    }

    private static func running(_ desk: Desk) -> Int {
        desk.ids().count { desk.monitor.machine($0)?.wanted.order?.action == .run }
    }

    @Test("Reaches its machines bit by bit, each of them once")
    func start() {
        var desk = Self.desk()
        var ordered = Self.ordered(desk.user("edge", .started) { $0.run = .running })
        #expect(!ordered.isEmpty)
        var most = ordered.count
        while let next = desk.monitor.nextDeadline, next <= desk.now + .milliseconds(1) {
            desk.now = next
            let more = Self.ordered(desk.send(.due))
            most = max(most, more.count)
            ordered += more
        }
        // The change itself and its rollout each take so many in hand.
        #expect(most <= 2 * Rollout.mostAtOnce)
        #expect(ordered.sorted() == desk.ids().sorted())
        #expect(Self.running(desk) == Self.count)
        #expect(desk.monitor.unanswered(in: "edge") == Self.count)
        for id in desk.ids().dropFirst(3) { desk.report(id, .receiving) }
        #expect(desk.monitor.unanswered(in: "edge") == 3)
        for id in desk.ids().prefix(2) { desk.will(id) }
        #expect(desk.monitor.unanswered(in: "edge") == 1)
    }

    @Test("Reaches those whom it had not reached when the manager was killed")
    func killed() {
        var desk = Self.desk()
        desk.user("edge", .started) { $0.run = .running }
        #expect(Self.running(desk) < Self.count)
        desk.restartManager()
        desk.pass(.seconds(1))
        #expect(Self.running(desk) == Self.count)
    }

    @Test("Is overtaken by the next one, and none of them is left out")
    func overtaken() {
        var desk = Self.desk()
        desk.user("edge", .started) { $0.run = .running }
        desk.user("edge", .stopped) { $0.run = .stopped }
        desk.pass(.seconds(1))
        #expect(Self.running(desk) == 0)
        desk.user("edge", .started) { $0.run = .running }
        desk.user("edge", .paused) { $0.paused = true }
        desk.pass(.seconds(1))
        #expect(Self.running(desk) == Self.count)
    }

    @Test("What rules stopped is free from the start's own commit on")
    func stoppedByRule() throws {
        var desk = Self.desk()
        desk.user("edge", .started) { $0.run = .running }
        desk.pass(.seconds(1))
        let last = try #require(desk.ids().last)
        desk.user("edge", .stopped) { $0.run = .stopped }
        desk.pass(.seconds(1))
        desk.monitor.change(last) { $0.wanted.stoppedBy = "cold" }
        let effects = desk.user("edge", .started) { $0.run = .running }
        let saved = effects.contains { effect in
            guard case .saveMachine(let machine) = effect else { return false }
            return machine.id == last && machine.wanted.stoppedBy == nil
        }
        #expect(saved)
        desk.pass(.seconds(1))
        #expect(desk.monitor.machine(last)?.wanted.order?.action == .run)
    }

    @Test("Of a group that is deleted meanwhile nothing more is said")
    func deleted() {
        var desk = Self.desk()
        desk.user("edge", .started) { $0.run = .running }
        desk.send(.groupDeleted("edge"))
        #expect(Self.ordered(desk.pass(.seconds(1))).isEmpty)
        #expect(desk.monitor.renewals.isEmpty)
    }
}
