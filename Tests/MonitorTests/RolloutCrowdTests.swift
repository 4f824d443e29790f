import Fleet
import TestSupport
import Testing

@testable import Monitor

@Suite("A wave of thousands")
struct RolloutCrowdTests {
    private static func rollout(_ count: Int, drains: Bool = false, atOnce: Bool = false) -> Rollout {
        let machines = (0..<count).map { place in
            (
                id: "m\(place)",
                sighting: Rollout.Sighting(
                    place: place, isPresent: true, isAssigned: false, isVerified: !atOnce, fault: nil, serves: !atOnce,
                    works: !atOnce, needsDrain: drains, isDrained: false)
            )
        }
        return Rollout(
            RolloutRecord(
                group: "edge", number: 1, release: 2, turn: 0, base: 1, what: "a → b", by: "ada", began: start,
                isAtOnce: atOnce), machines, at: start)
    }

    private static func terms(_ batch: Int) -> Rollout.Terms {
        Rollout.Terms(policy: RolloutPolicy(batch: .percent(100)), batch: batch, spare: batch, hold: nil, isGood: false)
    }

    private static func taken(_ steps: [Rollout.Step]) -> [String] {
        steps.compactMap { step in
            switch step {
            case .assign(let id), .drain(let id): id
            default: nil
            }
        }
    }

    @Test(
        "Is taken in hand bit by bit, each machine once, in one wave, whatever is heard meanwhile",
        arguments: [false, true], [false, true])
    func bits(drains: Bool, atOnce: Bool) throws {
        let count = 1100
        var rollout = Self.rollout(count, drains: drains, atOnce: atOnce)
        var (now, all, events) = (start, [String](), 0)
        var steps = rollout.handle(.due, under: Self.terms(count), at: now)
        while true {
            let taken = Self.taken(steps)
            #expect(taken.count <= Rollout.mostAtOnce)
            all += taken
            events += 1
            guard all.count < count, events < 100 else { break }
            // What a machine says takes no more of them in hand, however late it is: else what others say would have no turn.
            let id = try #require(taken.first)
            var sighting = try #require(rollout.members[id]).sighting
            for later in [TimeSpan.zero, .seconds(1)] {
                sighting.progress += 1
                let steps = rollout.handle(.seen(id, sighting), under: Self.terms(count), at: now + later)
                #expect(Self.taken(steps).isEmpty)
            }
            let next = try #require(rollout.nextDeadline)
            #expect(next > now && next <= now + .milliseconds(1))
            now = next
            steps = rollout.handle(.due, under: Self.terms(count), at: now)
        }
        #expect(events == 5)
        #expect(Set(all).count == count && all.count == count)
        #expect(rollout.record.waves.map(\.count) == [count])
    }

    @Test("Thousands that have drained are changed bit by bit, too")
    func drained() throws {
        let count = 600
        var rollout = Self.rollout(count, drains: true)
        var now = start
        var draining: [String] = []
        while draining.count < count {
            draining += Self.taken(rollout.handle(.due, under: Self.terms(count), at: now))
            now = now + .milliseconds(1)
        }
        var terms = Self.terms(count)
        terms.hold = "nobody is heard"
        for id in draining {
            var sighting = try #require(rollout.members[id]).sighting
            sighting.isDrained = true
            #expect(rollout.handle(.seen(id, sighting), under: terms, at: now).isEmpty)
        }
        var assigned: [Int] = []
        while assigned.reduce(0, +) < count, assigned.count < 10 {
            assigned.append(Self.taken(rollout.handle(.due, under: Self.terms(count), at: now)).count)
            now = now + .milliseconds(1)
        }
        #expect(assigned == [250, 250, 100])
    }

    @Test("One that is paused in the middle lets the rest be, and asks to be looked at no more")
    func paused() throws {
        var rollout = Self.rollout(600)
        #expect(Self.taken(rollout.handle(.due, under: Self.terms(600), at: start)).count == 250)
        _ = rollout.handle(.pause(by: "ada", why: nil), under: Self.terms(600), at: start)
        let later = start + .seconds(1)
        #expect(Self.taken(rollout.handle(.due, under: Self.terms(600), at: later)).isEmpty)
        #expect(rollout.nextDeadline.map { $0 > later } ?? true)
        _ = rollout.handle(.resume(by: "ada"), under: Self.terms(600), at: later)
        #expect(rollout.count(.waiting) == 350 && rollout.count(.changing) == 250)
    }

    /// What one machine has in the history from a change on, after it went through all its states.
    private static func lines(_ count: Int, failing: Bool = false) throws -> (
        of: [EventEntry.Kind], all: [EventEntry]
    ) {
        var desk = Desk(converged: Samples.group(count: count))
        let before = desk.history.count
        desk.user(try #require(desk.monitor.group("edge")).asking(for: Samples.second), .revised)
        for id in desk.ids() {
            desk.report(id, .receiving)
            desk.report(id, .starting)
            if failing, id == desk.ids().first {
                desk.report(id, .failed, reason: "no port to be had")
            } else {
                desk.report(id)
            }
        }
        desk.pass(.seconds(6), hearing: desk.ids())
        let all = Array(desk.history[before...])
        return (all.filter { $0.machine == desk.ids().first }.map(\.kind), all)
    }

    @Test("The history has a line for a crowd's wave and one for each machine that is verified; every step of a few")
    func history() throws {
        let few = try Self.lines(20)
        #expect(few.of.count { $0 == .machineState } == 3)
        #expect(few.of.contains(.ruleActed) && few.of.contains(.machineOrdered) && few.of.contains(.machineVerified))
        let crowd = try Self.lines(21)
        #expect(crowd.of == [.machineVerified])
        #expect(crowd.all.count { $0.kind == .machineVerified } == 21)
        let wave = try #require(crowd.all.first { $0.kind == .rolloutWave })
        #expect(wave.message.contains("and 11 more"))
    }

    @Test("Whatever goes wrong in a crowd has its lines")
    func wrong() throws {
        let crowd = try Self.lines(30, failing: true)
        let states = crowd.all.filter { $0.kind == .machineState }
        #expect(states.compactMap { $0.facts["reason"] } == ["no port to be had"])
        #expect(!crowd.of.contains(.machineVerified))
        #expect(crowd.all.count { $0.kind == .machineVerified } == 29)
        // It is told to try once more.
        #expect(crowd.all.filter { $0.kind == .machineOrdered }.map(\.machine) == [states.first?.machine])
    }
}
