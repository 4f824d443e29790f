import Fleet
import Testing
import TestSupport

@testable import Agent

@Suite("The supervisor's decisions about draining")
struct DrainDecisionTests {
    private static let drain = SoftwareManifest.DrainHook(exec: ["./drain"])
    private static let undrain = SoftwareManifest.DrainHook(exec: ["./undrain"])

    private func job(
        _ generation: Int = 1, drain: SoftwareManifest.DrainHook? = Self.drain,
        undrain: SoftwareManifest.DrainHook? = Self.undrain, probes: Bool = true
    ) -> Job {
        Job(
            generation: generation, digest: String(repeating: "\(generation)", count: 64),
            manifest: SoftwareManifest(
                name: "sample", version: "\(generation)", service: "voice", run: ["./x"],
                metrics: probes ? .init(exec: ["./m"], every: .seconds(5)) : nil, drain: drain, undrain: undrain),
            environment: [:])
    }

    /// Up and well since second 1, and its first probe has ended.
    private func well(_ job: Job, drains: Bool = false) -> Supervisor {
        var supervisor = Supervisor()
        _ = supervisor.handle(.run(job, drains: drains), now: .zero)
        _ = supervisor.handle(.started(run: 1), now: .zero)
        _ = supervisor.handle(.due, now: .seconds(1))
        _ = supervisor.handle(.due, now: .seconds(1))
        _ = supervisor.handle(.probed(run: 1, ["calls": 3]), now: .seconds(1))
        return supervisor
    }

    @Test(
        "It drains as soon as the hook has ended, with metrics of a probe that began after it; taken back, the other runs"
    )
    func thereAndBack() {
        var supervisor = well(job())
        #expect(supervisor.handle(.drain(true), now: .seconds(2)) == [] && supervisor.state == .running)
        #expect(supervisor.deadline == .seconds(2))
        #expect(supervisor.handle(.due, now: .seconds(2)) == [.hook(.drain, Self.drain, run: 1)])
        #expect(supervisor.handle(.due, now: .seconds(3)) == [])
        _ = supervisor.handle(.hooked(run: 1, .drain, failure: nil), now: .seconds(3))
        #expect(supervisor.state == .draining && supervisor.reportedMetrics == [:], "its metrics are of before")
        #expect(supervisor.handle(.due, now: .seconds(3)).count == 1)
        _ = supervisor.handle(.probed(run: 1, ["calls": 0]), now: .seconds(4))
        #expect(supervisor.state == .draining && supervisor.reportedMetrics == ["calls": 0] && supervisor.reason == nil)
        #expect(supervisor.plan.drain == .on)
        _ = supervisor.handle(.drain(false), now: .seconds(5))
        #expect(supervisor.state == .draining && supervisor.plan.drain == .takenBack)
        #expect(supervisor.handle(.due, now: .seconds(5)) == [.hook(.undrain, Self.undrain, run: 1)])
        #expect(supervisor.state == .draining && supervisor.reportedMetrics == [:], "it may take a call at any moment")
        _ = supervisor.handle(.hooked(run: 1, .undrain, failure: nil), now: .seconds(6))
        #expect(supervisor.state == .running && supervisor.plan.drain == nil)
    }

    @Test("A probe that was under way when the hook ended shows nothing")
    func probeUnderWay() {
        var supervisor = well(job())
        _ = supervisor.handle(.drain(true), now: .seconds(6))
        // Both at once.
        #expect(supervisor.handle(.due, now: .seconds(6)).count == 2)
        _ = supervisor.handle(.hooked(run: 1, .drain, failure: nil), now: .seconds(6))
        _ = supervisor.handle(.probed(run: 1, ["calls": 0]), now: .seconds(7))
        #expect(supervisor.state == .draining && supervisor.reportedMetrics == [:])
        #expect(supervisor.deadline == .seconds(7))
        #expect(supervisor.handle(.due, now: .seconds(7)).count == 1)
        _ = supervisor.handle(.probed(run: 1, ["calls": 1]), now: .seconds(8))
        #expect(supervisor.state == .draining && supervisor.reportedMetrics == ["calls": 1])
    }

    @Test("A probe that fails shows nothing, and is not hurried; that it drains is said all the same")
    func failingProbe() {
        var supervisor = well(job())
        _ = supervisor.handle(.drain(true), now: .seconds(2))
        _ = supervisor.handle(.due, now: .seconds(2))
        _ = supervisor.handle(.hooked(run: 1, .drain, failure: nil), now: .seconds(2))
        #expect(supervisor.handle(.due, now: .seconds(2)).count == 1)
        _ = supervisor.handle(.probed(run: 1, nil), now: .seconds(3))
        #expect(supervisor.state == .draining && supervisor.reportedMetrics == [:])
        #expect(supervisor.deadline == .seconds(8))
        #expect(supervisor.handle(.due, now: .seconds(8)).count == 1)
        _ = supervisor.handle(.probed(run: 1, ["calls": 0]), now: .seconds(8))
        #expect(supervisor.state == .draining && supervisor.reportedMetrics == ["calls": 0])
    }

    @Test("A hook that fails is tried again after 1, 2, 4… at most 60 seconds; its reason is said until it ends well")
    func failing() {
        var supervisor = well(job(probes: false))
        _ = supervisor.handle(.drain(true), now: .seconds(2))
        var now = TimeSpan.seconds(2)
        var pauses: [Int64] = []
        for _ in 0..<8 {
            #expect(supervisor.handle(.due, now: now) == [.hook(.drain, Self.drain, run: 1)])
            _ = supervisor.handle(.hooked(run: 1, .drain, failure: "no"), now: now)
            #expect(supervisor.reason == "no" && supervisor.state == .running)
            guard let next = supervisor.deadline else { break }
            pauses.append((next - now).milliseconds / 1000)
            now = next
        }
        #expect(pauses == [1, 2, 4, 8, 16, 32, 60, 60])
        _ = supervisor.handle(.due, now: now)
        _ = supervisor.handle(.hooked(run: 1, .drain, failure: nil), now: now)
        #expect(supervisor.reason == nil && supervisor.state == .draining)
    }

    @Test("What is wanted while the other hook runs waits for its end, however that is", arguments: [nil, "no"])
    func whileRunning(failure: String?) {
        var supervisor = well(job(probes: false))
        _ = supervisor.handle(.drain(true), now: .seconds(2))
        _ = supervisor.handle(.due, now: .seconds(2))
        _ = supervisor.handle(.drain(false), now: .seconds(3))
        #expect(supervisor.handle(.due, now: .seconds(3)) == [])
        _ = supervisor.handle(.hooked(run: 1, .drain, failure: failure), now: .seconds(4))
        #expect(supervisor.reason == nil && supervisor.state == .draining)
        #expect(supervisor.handle(.due, now: .seconds(4)) == [.hook(.undrain, Self.undrain, run: 1)])
        _ = supervisor.handle(.hooked(run: 1, .undrain, failure: nil), now: .seconds(5))
        #expect(supervisor.state == .running && supervisor.deadline == nil)
    }

    @Test("Software that ends while it drains is started and drained again; taken back meanwhile it is not")
    func restarts() {
        for isTakenBack in [false, true] {
            var supervisor = well(job(probes: false), drains: true)
            _ = supervisor.handle(.hooked(run: 1, .drain, failure: nil), now: .seconds(2))
            #expect(supervisor.state == .draining)
            _ = supervisor.handle(.exited(run: 1, "exited with status 0"), now: .seconds(3))
            if isTakenBack { _ = supervisor.handle(.drain(false), now: .seconds(3)) }
            #expect(supervisor.handle(.due, now: .seconds(4)).count == 1)
            _ = supervisor.handle(.started(run: 2), now: .seconds(4))
            _ = supervisor.handle(.due, now: .seconds(5))
            #expect(supervisor.state == .running)
            let hooks: [Supervisor.Action] = isTakenBack ? [] : [.hook(.drain, Self.drain, run: 2)]
            #expect(supervisor.handle(.due, now: .seconds(5)) == hooks)
            // An answer for the run before changes nothing.
            _ = supervisor.handle(.hooked(run: 1, .drain, failure: nil), now: .seconds(5))
            #expect(supervisor.state == .running)
        }
    }

    @Test("The next agent runs the hook again, whichever it was, and says what it said before only then")
    func takenOver() {
        for (drain, hook) in [(Plan.Drain.on, Intake.Hook.drain), (.takenBack, .undrain)] {
            var supervisor = Supervisor(plan: Plan(job: job(probes: false), drain: drain))
            _ = supervisor.handle(.adopt(job(probes: false), restarts: 0), now: .zero)
            #expect(supervisor.state == (drain == .on ? .running : .draining))
            let actions = supervisor.handle(.due, now: .zero)
            #expect(actions == [.hook(hook, hook == .drain ? Self.drain : Self.undrain, run: 1)])
            _ = supervisor.handle(.hooked(run: 1, hook, failure: nil), now: .zero)
            #expect(supervisor.state == (drain == .on ? .draining : .running))
            #expect(supervisor.plan.drain == (drain == .on ? .on : nil))
        }
        // As after a boot: it takes work until its hook has run.
        var booted = Supervisor(plan: Plan(job: job(), drain: .takenBack))
        #expect(booted.handle(.boot, now: .zero) == [.start(job(), run: 1)] && booted.plan.drain == nil)
    }

    @Test("Without hooks it drains all the same; what no hook can take back says so")
    func noHooks() {
        var plain = well(job(drain: nil, undrain: nil, probes: false))
        _ = plain.handle(.drain(true), now: .seconds(2))
        #expect(plain.handle(.due, now: .seconds(2)) == [] && plain.state == .draining)
        _ = plain.handle(.drain(false), now: .seconds(3))
        #expect(plain.handle(.due, now: .seconds(3)) == [] && plain.state == .running && plain.reason == nil)
        var oneWay = well(job(undrain: nil, probes: false), drains: true)
        _ = oneWay.handle(.hooked(run: 1, .drain, failure: nil), now: .seconds(2))
        _ = oneWay.handle(.drain(false), now: .seconds(3))
        #expect(oneWay.handle(.due, now: .seconds(3)) == [])
        #expect(oneWay.reason == "sample@1 has no undrain hook: it takes no new work until it is restarted")
    }

    @Test("What falls back while it is to drain drains what ran before; a stop and other software end it")
    func fallsBack() {
        let old = job(1, probes: false)
        var supervisor = well(old)
        _ = supervisor.handle(.run(job(2, probes: false), drains: true), now: .seconds(2))
        _ = supervisor.handle(.stopped(run: 1), now: .seconds(2))
        _ = supervisor.handle(.startFailed(run: 2, "no program"), now: .seconds(2))
        _ = supervisor.handle(.started(run: 3), now: .seconds(2))
        _ = supervisor.handle(.due, now: .seconds(3))
        #expect(supervisor.handle(.due, now: .seconds(3)) == [.hook(.drain, Self.drain, run: 3)])
        var replaced = supervisor
        _ = replaced.handle(.run(job(4)), now: .seconds(4))
        #expect(replaced.plan.drain == nil)
        _ = supervisor.handle(.stop, now: .seconds(4))
        #expect(supervisor.plan.drain == nil)
        _ = supervisor.handle(.drain(true), now: .seconds(4))
        #expect(supervisor.plan.drain == nil, "nothing is to run")
    }

    @Test("However often it is told, and however its hooks end, it is in the end as it was told last")
    func anyOrder() {
        for seed in 0..<500 {
            var generator = SeededGenerator(seed: UInt64(seed))
            var supervisor = well(job(probes: Bool.random(using: &generator)))
            var now = TimeSpan.seconds(2)
            var isWanted = false
            var running: Intake.Hook?
            func answer(_ failure: String?) {
                guard let hook = running else { return }
                running = nil
                _ = supervisor.handle(.hooked(run: 1, hook, failure: failure), now: now)
            }
            func tick() {
                for action in supervisor.handle(.due, now: now) {
                    switch action {
                    case .hook(let hook, _, _):
                        #expect(running == nil, "one at a time")
                        running = hook
                    case .probe: _ = supervisor.handle(.probed(run: 1, ["calls": 0]), now: now)
                    default: Issue.record("\(action)")
                    }
                }
            }
            for _ in 0..<30 {
                now = now + .milliseconds(Int64.random(in: 0...2000, using: &generator))
                switch Int.random(in: 0...3, using: &generator) {
                case 0:
                    isWanted.toggle()
                    _ = supervisor.handle(.drain(isWanted), now: now)
                case 1: answer(Bool.random(using: &generator) ? "no" : nil)
                default: tick()
                }
            }
            for _ in 0..<6 {
                now = now + .seconds(70)
                answer(nil)
                tick()
            }
            #expect(supervisor.state == (isWanted ? .draining : .running), "seed \(seed)")
            #expect(supervisor.plan.drain == (isWanted ? .on : nil), "seed \(seed)")
        }
    }
}
