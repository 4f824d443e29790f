import Fleet
import Monitor
import Testing

/// A machine that fell back runs what the record goes back to: its agent goes on with it, so that nothing of it is drained.
@Suite("Back to what machines fell back to")
struct FallBackTests {
    /// Of three machines with calls the first was drained, changed, and fell back; the record is yet to go back.
    private func fallenBack() throws -> Desk {
        var desk = Desk(converged: Samples.group(rollout: WaveTests.policy))
        for id in desk.ids() { desk.report(id, metrics: ["calls": 3]) }
        desk.user(try #require(desk.monitor.group("edge")).asking(for: Samples.second), .revised)
        desk.report("edge-1", .draining, digest: Samples.first, metrics: ["calls": 0])
        #expect(desk.monitor.machine("edge-1")?.wanted.order?.digest == Samples.second)
        let effects = desk.report(
            "edge-1", digest: Samples.first, generation: 1, metrics: ["calls": 2], reason: "it did not become healthy")
        #expect(effects.rollbacks == [1])
        return desk
    }

    private func order(_ desk: Desk) -> Order? { desk.monitor.machine("edge-1")?.wanted.order }
    private func drains(_ desk: Desk) -> Int { desk.history.count { $0.kind == .machineDraining } }

    @Test("It is ordered at once, before the others, and not drained; the others are left as they are")
    func back() throws {
        var desk = try fallenBack()
        let before = drains(desk)
        let effects = desk.user(try #require(desk.monitor.group("edge")).asking(for: Samples.first), .revised)
        #expect(effects.orders == ["edge-1"] && drains(desk) == before)
        #expect(order(desk)?.action == .run && order(desk)?.generation == 3 && order(desk)?.digest == Samples.first)
        desk.report("edge-1", metrics: ["calls": 2])
        desk.pass(.seconds(6), hearing: desk.ids())
        #expect(desk.monitor.machine("edge-1")?.judged.verified == true)
    }

    @Test("So it is after a restart of the manager")
    func restarted() throws {
        var desk = try fallenBack()
        let before = drains(desk)
        desk.restartManager()
        for id in desk.ids() { desk.repeatStatus(id) }
        desk.user(try #require(desk.monitor.group("edge")).asking(for: Samples.first), .revised)
        #expect(order(desk)?.action == .run && order(desk)?.digest == Samples.first && drains(desk) == before)
    }

    @Test("The plan says that nothing becomes of it, and of other settings that they replace what it was ordered")
    func planned() throws {
        let desk = try fallenBack()
        var record = try #require(desk.monitor.group("edge")).asking(for: Samples.first)
        func step() -> PlanView.Step? {
            desk.monitor.plan(record.definition, digest: record.digest, manifest: record.manifest).steps.first
        }
        #expect(step()?.change == .nothing && step()?.detail == "runs kamailio@1.a, and goes on with it")
        record.definition.environment = [.init(name: "PORT", value: .value(.number(5060)))]
        #expect(step()?.change == .replaceSoftware && step()?.machine == "edge-1")
    }

    @Test("Where it would start anew it is drained first: other settings, or a restart that was asked for")
    func startsAnew() throws {
        for isRestart in [true, false] {
            var desk = try fallenBack()
            if isRestart { desk.send(.restartGroup("edge", by: "ada")) }
            var record = try #require(desk.monitor.group("edge")).asking(for: Samples.first)
            if !isRestart {
                record.definition.environment = [.init(name: "PORT", value: .value(.number(5060)))]
            }
            desk.user(record, .revised)
            desk.report(
                "edge-1", digest: Samples.first, generation: 1, metrics: ["calls": 2],
                reason: "it did not become healthy")
            desk.pass(.seconds(5), hearing: desk.ids())
            #expect(order(desk)?.action == .drain && order(desk)?.digest == Samples.second)
        }
    }
}
