import Fleet
import TestSupport
import Testing

@testable import Monitor

/// A rollout alone, with machines that are only what is seen of them.
private struct Bench {
    var rollout: Rollout
    var terms: Rollout.Terms
    var now = start
    var machines: [String: Rollout.Sighting] = [:]
    var log: [Rollout.Step] = []
    /// Machines that were taken out of service while `keep` or fewer served.
    var missed: [String] = []

    init(
        _ count: Int, _ policy: RolloutPolicy = RolloutPolicy(batch: .count(2)), base: Int? = 1, batch: Int = 2,
        atOnce: Bool = false, setup: (inout [String: Rollout.Sighting]) -> Void = { _ in }
    ) {
        var seen: [(id: String, sighting: Rollout.Sighting)] = []
        for place in 0..<count {
            seen.append(
                (
                    "m\(place)",
                    Rollout.Sighting(
                        place: place, isPresent: true, isAssigned: atOnce, isVerified: !atOnce, fault: nil,
                        serves: !atOnce, works: !atOnce, needsDrain: policy.drain != nil, isDrained: false)
                ))
        }
        var sightings = Dictionary(seen.map { ($0.id, $0.sighting) }) { first, _ in first }
        setup(&sightings)
        machines = sightings
        seen = seen.map { ($0.id, sightings[$0.id] ?? $0.sighting) }
        let record = RolloutRecord(
            group: "edge", number: 1, release: 2, turn: 0, base: base, what: "a → b", by: "ada", began: start,
            isAtOnce: atOnce)
        rollout = Rollout(record, seen, at: start)
        terms = Rollout.Terms(policy: policy, batch: batch, spare: 0, hold: nil, isGood: false)
        send(.due)
    }

    var keep: Int { terms.policy.drain?.keep ?? 0 }
    var serving: Int { machines.values.count { $0.serves } }
    func named(_ standing: Rollout.Standing) -> [String] {
        rollout.members.filter { $0.value.standing == standing }.keys.sorted()
    }

    mutating func send(_ event: Rollout.Event) {
        var events = [event]
        while !events.isEmpty {
            terms.spare = serving - keep
            let steps = rollout.handle(events.removeFirst(), under: terms, at: now)
            log += steps
            for step in steps {
                switch step {
                case .drain(let id), .assign(let id):
                    if machines[id]?.serves == true, serving <= keep { missed.append(id) }
                default: break
                }
                switch step {
                case .drain(let id): machines[id]?.serves = false
                case .undrain(let id):
                    let isPresent = machines[id]?.isPresent == true
                    machines[id]?.serves = isPresent
                case .assign(let id):
                    machines[id]?.isAssigned = true
                    machines[id]?.isVerified = false
                    machines[id]?.serves = false
                    machines[id]?.isDrained = false
                case .judge(.good): terms.isGood = true
                case .judge, .goBack, .say: continue
                }
                switch step {
                case .drain(let id), .undrain(let id), .assign(let id):
                    if let sighting = machines[id] { events.append(.seen(id, sighting)) }
                default: continue
                }
            }
        }
    }

    mutating func see(_ id: String, _ body: (inout Rollout.Sighting) -> Void) {
        guard var sighting = machines[id] else { return }
        body(&sighting)
        machines[id] = sighting
        send(.seen(id, sighting))
    }

    /// It cannot be heard.
    mutating func leave(_ id: String) {
        see(id) {
            $0.isPresent = false
            $0.serves = false
        }
    }

    mutating func verify(_ id: String) {
        let drains = rollout.draining.contains(id)
        see(id) {
            $0.isVerified = true
            $0.serves = $0.isPresent && !drains
        }
    }

    mutating func verifyWave() { for id in named(.changing) { verify(id) } }

    mutating func pass(_ span: TimeSpan) {
        now = now + span
        if let next = rollout.nextDeadline, next <= now { send(.due) }
    }

    var verdicts: [Verdict] { log.compactMap { if case .judge(let verdict) = $0 { verdict } else { nil } } }
    var goesBack: Bool { log.contains { if case .goBack = $0 { true } else { false } } }
}

@Suite("Rollouts")
struct RolloutTests {
    @Test("A wave begins when the one before is verified, and the release is good when all are")
    func waves() {
        var bench = Bench(5)
        #expect(bench.named(.changing) == ["m0", "m1"])
        bench.verify("m0")
        #expect(bench.named(.changing) == ["m1"])
        bench.verify("m1")
        #expect(bench.named(.changing) == ["m2", "m3"])
        bench.verifyWave()
        #expect(bench.named(.changing) == ["m4"])
        #expect(bench.verdicts == [])
        bench.verifyWave()
        #expect(bench.rollout.record.phase == .done)
        #expect(bench.verdicts == [.good])
        #expect(bench.rollout.record.waves.map(\.ok) == [2, 2, 1])
    }

    @Test("Canaries change alone, and a person promotes what comes behind them")
    func canary() {
        var bench = Bench(5, RolloutPolicy(canary: .init(machines: 1), batch: .count(2)))
        #expect(bench.named(.changing) == ["m0"])
        bench.verifyWave()
        #expect(bench.rollout.record.phase == .waiting)
        bench.pass(.hours(10))
        #expect(bench.named(.changing) == [])
        bench.send(.promote(by: "ada"))
        #expect(bench.named(.changing) == ["m1", "m2"])
    }

    @Test("With promote = auto the rest follows once the canaries were well for as long as the record says")
    func auto() {
        let policy = RolloutPolicy(
            canary: .init(machines: 1, holds: .minutes(10)), batch: .count(2), promote: .auto)
        var bench = Bench(3, policy)
        bench.verifyWave()
        bench.pass(.minutes(9))
        #expect(bench.named(.changing) == [])
        bench.pass(.minutes(1))
        #expect(bench.named(.changing) == ["m1", "m2"])
    }

    @Test("A canary that fails after it was verified, or is worse than the rest, ends it", arguments: [true, false])
    func badCanary(fails: Bool) {
        let policy = RolloutPolicy(
            canary: .init(machines: 1, holds: .minutes(10), worse: .value(.bool(true))), batch: .count(2), maxFailed: 0,
            onFailure: .rollback, promote: .auto)
        var bench = Bench(3, policy)
        bench.verifyWave()
        if fails {
            bench.see("m0") { $0.fault = "it crashed" }
        } else {
            bench.send(.worse("m0"))
        }
        #expect(bench.goesBack)
        #expect(bench.rollout.record.phase == .goingBack)
        bench.pass(.hours(1))
        #expect(bench.named(.waiting) == ["m1", "m2"])
    }

    @Test("One that waits until others serve keeps nobody back who serves nothing")
    func noHeadOfLine() {
        var policy = RolloutPolicy(batch: .count(2), maxFailed: 2)
        policy.drain = .init(until: .value(.bool(true)), atMost: .minutes(1), keep: 1)
        // It runs something, and is not verified.
        var bench = Bench(2, policy, setup: { $0["m1"]?.serves = false })
        #expect(bench.named(.drawn) == ["m0"])
        #expect(bench.named(.draining) == ["m1"])
        bench.see("m1") { $0.isDrained = true }
        #expect(bench.named(.changing) == ["m1"])
        bench.see("m1") {
            $0.isVerified = true
            $0.serves = true
        }
        #expect(bench.named(.draining) == ["m0"])
    }

    @Test("Failures of late waves do not add up once the rollout was done")
    func lateFailures() {
        var bench = Bench(3, RolloutPolicy(batch: .count(3), maxFailed: 1), batch: 3)
        for id in ["m0", "m1", "m2"] { bench.verify(id) }
        #expect(bench.rollout.record.phase == .done)
        for id in ["m0", "m1"] {
            bench.see(id) {
                $0.isAssigned = false
                $0.isVerified = true
            }
            #expect(bench.named(.changing) == [id])
            bench.see(id) { $0.fault = "it crashed" }
            #expect(bench.rollout.record.phase == .rolling, "\(id)")
            bench.see(id) {
                $0.fault = nil
                $0.isVerified = true
            }
            #expect(bench.rollout.record.phase == .done, "\(id)")
        }
        #expect(bench.rollout.record.failed == 2)
    }

    @Test("Who came late is a canary where nobody else is left")
    func lateCanary() {
        var bench = Bench(1, RolloutPolicy(canary: .init(machines: 1), batch: .count(2), promote: .auto))
        let late = Rollout.Sighting(
            place: 1, isPresent: true, isAssigned: false, isVerified: true, fault: nil, serves: true, works: true,
            needsDrain: false, isDrained: false)
        bench.machines = ["m1": late]
        bench.send(.left("m0"))
        bench.send(.seen("m1", late))
        #expect(bench.named(.changing) == ["m1"])
        #expect(bench.rollout.record.waves.last?.isCanary == true)
    }

    @Test("All canaries failed: that is enough, whatever max_failed says")
    func allCanariesFail() {
        var bench = Bench(5, RolloutPolicy(canary: .init(machines: 1), batch: .count(2), maxFailed: 3))
        bench.see("m0") { $0.fault = "it crashed" }
        #expect(bench.rollout.record.phase == .paused)
        #expect(bench.named(.waiting).count == 4)
    }

    @Test("Past max_failed no further machine gets the release, and the record goes back", arguments: [true, false])
    func failure(rollback: Bool) {
        let policy = RolloutPolicy(batch: .count(2), maxFailed: 1, onFailure: rollback ? .rollback : .pause)
        var bench = Bench(6, policy)
        bench.see("m0") { $0.fault = "it crashed" }
        #expect(bench.rollout.record.phase == .rolling)
        bench.verify("m1")
        #expect(bench.named(.changing) == ["m2", "m3"])
        bench.see("m2") { $0.fault = "it crashed" }
        #expect(bench.rollout.record.phase == (rollback ? .goingBack : .paused))
        #expect(bench.goesBack == rollback)
        bench.verify("m3")
        bench.pass(.hours(1))
        #expect(bench.named(.waiting) == ["m4", "m5"])
        #expect(bench.verdicts.count == 1)
        #expect(!bench.verdicts.contains(.good))
        bench.send(.resume(by: "ada"))
        #expect(bench.named(.changing) == (rollback ? [] : ["m4", "m5"]))
    }

    @Test("Who is not verified in time has failed; receiving is progress")
    func time() {
        var bench = Bench(2, RolloutPolicy(batch: .count(2), within: .minutes(10), maxFailed: 5))
        bench.pass(.minutes(9))
        bench.see("m1") { $0.progress = 7 }
        bench.pass(.minutes(2))
        #expect(bench.named(.failed) == ["m0"])
        bench.pass(.minutes(9))
        #expect(bench.named(.failed) == ["m0", "m1"])
        bench.verify("m0")
        #expect(bench.named(.ok) == ["m0"])
    }

    @Test("An away machine keeps no wave from ending, is never ok, and goes through a late wave when it is back")
    func away() {
        var bench = Bench(4)
        bench.leave("m3")
        bench.leave("m0")
        bench.verify("m1")
        #expect(bench.named(.changing) == ["m2"])
        bench.verify("m2")
        #expect(bench.rollout.record.phase == .done)
        #expect(bench.rollout.away == 2)
        #expect(bench.rollout.count(.ok) == 2)
        bench.see("m3") {
            $0.isPresent = true
            $0.serves = true
        }
        #expect(bench.named(.changing) == ["m3"])
        #expect(bench.rollout.record.phase == .rolling)
        bench.see("m0") { $0.isPresent = true }
        bench.verify("m0")
        bench.verify("m3")
        #expect(bench.rollout.record.phase == .done)
    }

    @Test("Where more than max_failed went away while they changed, no further wave begins")
    func lost() {
        var bench = Bench(6)
        for id in ["m0", "m1"] { bench.leave(id) }
        #expect(bench.named(.changing) == [])
        bench.pass(.hours(2))
        #expect(bench.named(.waiting).count == 4)
        bench.see("m0") { $0.isPresent = true }
        bench.verify("m0")
        #expect(bench.named(.changing) == ["m2", "m3"])
    }

    @Test("A machine is drained before it is changed, and never do fewer than keep serve")
    func drain() {
        let policy = RolloutPolicy(
            batch: .count(3), drain: .init(until: .value(.bool(true)), atMost: .minutes(1), keep: 2))
        var bench = Bench(4, policy, batch: 3)
        #expect(bench.named(.draining) == ["m0", "m1"])
        #expect(bench.serving == 2)
        bench.see("m0") { $0.isDrained = true }
        #expect(bench.named(.changing) == ["m0"])
        #expect(bench.named(.drawn) == ["m2"])
        bench.verify("m0")
        #expect(bench.named(.draining) == ["m1", "m2"])
        bench.send(.abort(by: "ada", why: "wrong day"))
        #expect(bench.log.contains(.undrain("m1")))
        #expect(bench.log.contains(.undrain("m2")))
        #expect(bench.goesBack)
    }

    @Test("A pause leaves nobody drained, and what goes on afterwards drains them again")
    func pause() {
        let policy = RolloutPolicy(batch: .count(2), drain: .init(until: .value(.bool(true)), atMost: .minutes(1)))
        var bench = Bench(3, policy)
        #expect(bench.named(.draining) == ["m0", "m1"])
        bench.send(.pause(by: "ada", why: nil))
        #expect(bench.serving == 3)
        #expect(bench.named(.draining) == [])
        bench.send(.resume(by: "ada"))
        #expect(bench.named(.draining).count == 2)
    }

    @Test("Where there is nothing to go back to, it is judged and goes on: whoever comes to run is welcome")
    func nothingBefore() {
        var bench = Bench(3, RolloutPolicy(onFailure: .rollback), base: nil, atOnce: true)
        for id in ["m0", "m1"] { bench.see(id) { $0.fault = "no such interpreter" } }
        #expect(!bench.goesBack)
        #expect(bench.verdicts.count == 1)
        for id in ["m0", "m1", "m2"] {
            bench.see(id) {
                $0.fault = nil
                $0.isVerified = true
            }
        }
        #expect(bench.rollout.record.phase == .done)
        #expect(bench.verdicts.last == .good)
    }

    @Test(
        "Whatever is seen in whatever order: keep is kept, a wave is a batch, nothing spreads past max_failed",
        arguments: 0..<200)
    func laws(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let (count, batch, keep) = (
            Int.random(in: 1...12, using: &random), Int.random(in: 1...4, using: &random),
            Int.random(in: 0...3, using: &random)
        )
        let policy = RolloutPolicy(
            canary: Bool.random(using: &random) ? .init(machines: 1) : nil, batch: .count(batch), within: .minutes(5),
            maxFailed: Int.random(in: 0...2, using: &random),
            onFailure: Bool.random(using: &random) ? .rollback : .pause,
            promote: Bool.random(using: &random) ? .auto : .manual,
            drain: .init(until: .value(.bool(true)), atMost: .minutes(1), keep: keep))
        var bench = Bench(count, policy, batch: batch)
        for _ in 0..<300 {
            let id = "m\(Int.random(in: 0..<count, using: &random))"
            let before = bench.log.count
            let failures = bench.rollout.record.failed
            switch Int.random(in: 0..<12, using: &random) {
            case 0: bench.leave(id)
            case 1, 2:
                let drains = bench.rollout.draining.contains(id)
                bench.see(id) {
                    $0.isPresent = true
                    $0.serves = $0.isVerified && !drains
                }
            case 3, 4, 5: if bench.machines[id]?.isPresent == true { bench.verify(id) }
            case 6, 7: bench.see(id) { $0.isDrained = true }
            case 8: if Int.random(in: 0..<4, using: &random) == 0 { bench.see(id) { $0.fault = "it crashed" } }
            case 9: bench.pass(.minutes(1))
            case 10: bench.send(.promote(by: "ada"))
            default: bench.see(id) { $0.fault = nil }
            }
            let new = bench.log[before...]
            #expect(bench.missed == [])
            let inWave = bench.named(.drawn) + bench.named(.draining)
            #expect(inWave.count <= max(batch, 1))
            let assigned = new.contains { if case .assign = $0 { true } else { false } }
            #expect(!assigned || failures <= policy.maxFailed + bench.rollout.record.forgiven)
            let sum = [Rollout.Standing.waiting, .drawn, .draining, .changing, .lost, .ok, .failed].reduce(0) {
                $0 + bench.rollout.count($1)
            }
            #expect(sum + bench.rollout.away == count)
        }
    }
}
