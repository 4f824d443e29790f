import Fleet
import Foresight
import Monitor
import TestSupport
import Testing

@Suite("What would happen")
struct ForesightTests {
    /// Lets machines do as they are told until nothing is left to do; returns what they were told, in order.
    private func carryOut(_ record: GroupRecord, _ desk: inout Desk) -> [String] {
        var told: [String] = []
        var effects = desk.user(record, .revised)
        for _ in 0..<2000 {
            for effect in effects {
                guard case .sendOrder(let id, _) = effect, let order = desk.monitor.machine(id)?.wanted.order else {
                    continue
                }
                told.append("\(id) \(order.action.rawValue) \(order.digest.prefix(1)) \(order.generation)")
            }
            effects = []
            for id in desk.ids() {
                guard let machine = desk.monitor.machine(id), let order = machine.wanted.order,
                    machine.phase == .joined,
                    machine.reported.status?.order != order.generation
                        || order.action == .drain && machine.reported.status?.state != .draining
                else { continue }
                effects += desk.report(
                    id, order.action == .drain ? .draining : order.runs ? .running : .stopped,
                    metrics: machine.reported.status?.metrics ?? [:])
            }
            if desk.monitor.rollout("edge")?.phase == .waiting {
                effects += desk.send(.rollout("edge", .promote(by: "ada")))
            }
            if effects.isEmpty {
                guard desk.monitor.rollout("edge")?.isOpen == true else { return told }
                effects = desk.pass(.seconds(1), hearing: desk.ids())
            }
        }
        return told
    }

    private func waves(_ rollout: RolloutRecord?) -> [[String]] { (rollout?.waves ?? []).map(\.machines) }

    @Test("Waves come as they are foreseen, machine by machine and in order, for random groups", arguments: 0..<40)
    func foreseen(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let count = Int.random(in: 2...9, using: &random)
        var policy = RolloutPolicy(
            canary: Bool.random(using: &random) ? .init(machines: 1) : nil,
            batch: .count(Int.random(in: 1...3, using: &random)),
            settle: .seconds(Int64.random(in: 0...5, using: &random)),
            promote: Bool.random(using: &random) ? .auto : .manual)
        if Bool.random(using: &random) {
            policy.drain = .init(
                until: .binary(.equal, .metric("calls"), .value(.number(0))), atMost: .seconds(20),
                keep: Int.random(in: 0..<count, using: &random))
        }
        var desk = Desk(converged: Samples.group(count: count, rollout: policy))
        for id in desk.ids() { desk.report(id, metrics: ["calls": Double(Int.random(in: 0...1, using: &random))]) }
        let record = try #require(desk.monitor.group("edge")).asking(for: Samples.second)
        let course = Foresight.course(of: record, .revised, in: desk.monitor, at: desk.now)
        #expect(course.waits == nil)
        #expect(course.asksForPromotion == (policy.canary != nil && policy.promote == .manual))
        _ = carryOut(record, &desk)
        #expect(desk.monitor.rollout("edge")?.phase == .done)
        #expect(course.waves.map(\.machines) == waves(desk.monitor.rollout("edge")))
        #expect(course.steps.count { $0.what == .change } == count)
    }

    @Test("It changes nothing, and says what it would wait for")
    func harmless() throws {
        var policy = RolloutPolicy(batch: .count(1))
        policy.drain = .init(until: .value(.bool(false)), atMost: .minutes(10), keep: 2)
        var desk = Desk(converged: Samples.group(count: 2, rollout: policy))
        let before = desk.machines
        let record = try #require(desk.monitor.group("edge")).asking(for: Samples.second)
        let course = Foresight.course(of: record, .revised, in: desk.monitor, at: desk.now)
        #expect(course.waits?.contains("another machine to serve: 2 do, and keep is 2") == true)
        #expect(course.steps == [])
        #expect(desk.machines == before)
        #expect(desk.pass(.minutes(1), hearing: desk.ids()).orders.isEmpty)
    }

    @Test("A smaller group drains before it releases, and what has work takes its time")
    func shrink() throws {
        var policy = RolloutPolicy(batch: .count(1))
        policy.drain = .init(
            until: .binary(.equal, .metric("calls"), .value(.number(0))), atMost: .minutes(10), keep: 1)
        var desk = Desk(converged: Samples.group(count: 3, rollout: policy))
        for id in desk.ids() { desk.report(id, metrics: ["calls": 2]) }
        let record = try #require(desk.monitor.group("edge")).changed { $0.definition.machines.count = 2 }
        let course = Foresight.course(of: record, .revised, in: desk.monitor, at: desk.now)
        #expect(course.steps.map(\.what) == [.drain, .stop, .release])
        #expect(course.steps.allSatisfy { $0.machine == "edge-3" })
        #expect(course.takes >= .minutes(10))
    }
}
