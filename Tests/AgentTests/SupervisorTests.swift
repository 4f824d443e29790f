import Fleet
import Testing

@testable import Agent
import TestSupport

@Suite("The supervisor's decisions")
struct SupervisorTests {
    private func job(_ generation: Int, version: String = "1", health: SoftwareManifest.HealthCheck? = nil) -> Job {
        Job(
            generation: generation, digest: String(repeating: version, count: 64),
            manifest: SoftwareManifest(
                name: "sample", version: version, service: "voice", run: ["./x"], health: health),
            environment: [:])
    }

    /// Started and well.
    private func well(_ job: Job, now: TimeSpan = .zero) -> Supervisor {
        var supervisor = Supervisor()
        #expect(supervisor.handle(.run(job), now: now) == [.start(job, run: 1)])
        _ = supervisor.handle(.started(run: 1), now: now)
        #expect(supervisor.state == .starting)
        _ = supervisor.handle(.due, now: now + Supervisor.upIsWell)
        #expect(supervisor.state == .running && supervisor.health == .passing)
        return supervisor
    }

    @Test("Crashes are followed by pauses of 1, 2, 4… at most 60 seconds; after five it has failed")
    func backoff() {
        let job = job(1)
        var supervisor = well(job)
        var now = TimeSpan.seconds(1)
        var pauses: [Int64] = []
        for run in 1...8 {
            #expect(supervisor.handle(.exited(run: run, "exited with status 1"), now: now) == [])
            #expect(supervisor.state == (run < Supervisor.mostCrashes ? .starting : .failed))
            guard let next = supervisor.deadline else { break }
            #expect(supervisor.handle(.due, now: next - .milliseconds(1)) == [])
            #expect(supervisor.handle(.due, now: next) == [.start(job, run: run + 1)])
            pauses.append((next - now).milliseconds / 1000)
            now = next
            _ = supervisor.handle(.started(run: run + 1), now: now)
        }
        #expect(pauses == [1, 2, 4, 8, 16, 32, 60, 60])
        #expect(supervisor.restarts == 8)
        // Well again, and well for long: what was is forgotten, but not the count of restarts.
        _ = supervisor.handle(.due, now: now + Supervisor.upIsWell)
        #expect(supervisor.state == .running && supervisor.reason == nil)
        now = now + Supervisor.upIsWell + Supervisor.healing
        _ = supervisor.handle(.due, now: now)
        #expect(supervisor.restarts == 8 && supervisor.deadline == nil)
        _ = supervisor.handle(.exited(run: 9, "ended"), now: now)
        #expect(supervisor.deadline == now + .seconds(1))
    }

    @Test("Answers for an earlier run change nothing")
    func staleAnswers() {
        var supervisor = well(job(1))
        let before = supervisor.phase
        for event: Supervisor.Event in [
            .started(run: 0), .startFailed(run: 0, "x"), .exited(run: 0, "x"), .stopped(run: 0),
            .checked(run: 0, failure: "x"), .probed(run: 0, ["x": 1]),
        ] {
            #expect(supervisor.handle(event, now: .seconds(2)) == [])
            #expect(supervisor.phase == before)
        }
    }

    @Test("Replacing stops the old one first; the first failure of the new one brings the old one back")
    func fallBack() {
        let (old, new) = (job(1), job(2, version: "2"))
        var supervisor = well(old)
        #expect(supervisor.handle(.run(new), now: .seconds(2)) == [.stop(old.manifest.stop, run: 1)])
        #expect(supervisor.handle(.stopped(run: 1), now: .seconds(3)) == [.start(new, run: 2)])
        #expect(supervisor.handle(.startFailed(run: 2, "no program"), now: .seconds(3)) == [.start(old, run: 3)])
        #expect(supervisor.plan.wanted == old && supervisor.plan.fallback == nil)
        _ = supervisor.handle(.started(run: 3), now: .seconds(3))
        _ = supervisor.handle(.due, now: .seconds(5))
        #expect(supervisor.state == .running)
        #expect(supervisor.reason == "sample@2 did not become healthy: no program; sample@1 runs again")
    }

    @Test("An order for what runs again after a fall back restarts nothing, and what ends under it is started for it")
    func keep() {
        let (old, new, again) = (job(1), job(2, version: "2"), job(3))
        var supervisor = well(old)
        _ = supervisor.handle(.run(new), now: .seconds(2))
        _ = supervisor.handle(.stopped(run: 1), now: .seconds(3))
        _ = supervisor.handle(.startFailed(run: 2, "no program"), now: .seconds(3))
        #expect(!supervisor.mayKeep(again, drains: false), "nothing is up")
        _ = supervisor.handle(.started(run: 3), now: .seconds(3))
        _ = supervisor.handle(.exited(run: 3, "died"), now: .seconds(4))
        #expect(!supervisor.mayKeep(again, drains: false), "it has ended")
        _ = supervisor.handle(.due, now: .seconds(5))
        _ = supervisor.handle(.started(run: 4), now: .seconds(5))
        _ = supervisor.handle(.due, now: .seconds(6))
        #expect(supervisor.mayKeep(again, drains: false) && supervisor.restarts == 1)
        var other = again
        other.environment = ["GREETING": "hello"]
        #expect(!supervisor.mayKeep(other, drains: false) && !supervisor.mayKeep(job(3, version: "2"), drains: false))
        #expect(supervisor.handle(.keep(again), now: .seconds(6)) == [])
        #expect(supervisor.state == .running && supervisor.health == .passing && supervisor.reason == nil)
        #expect(supervisor.plan == Plan(job: again) && supervisor.active == again && supervisor.restarts == 0)
        #expect(supervisor.handle(.exited(run: 4, "died"), now: .seconds(7)) == [])
        #expect(supervisor.handle(.due, now: .seconds(9)) == [.start(again, run: 5)])
    }

    @Test("What no hook brings back to work is started anew, and what runs under a restart that was ordered, too")
    func notKept() {
        var oneWay = job(1)
        oneWay.manifest.drain = .init(exec: ["./drain"])
        var supervisor = well(oneWay)
        _ = supervisor.handle(.drain(true), now: .seconds(2))
        var again = oneWay
        again.generation = 3
        #expect(!supervisor.mayKeep(again, drains: false))
        #expect(supervisor.mayKeep(again, drains: true))
        // The next agent finds what ran before the order.
        for isOnTrial in [true, false] {
            var next = Supervisor(plan: Plan(job: job(2), onTrial: isOnTrial))
            let actions = next.handle(.adopt(job(1), restarts: 0), now: .zero)
            #expect(actions == (isOnTrial ? [.stop(job(1).manifest.stop, run: 1)] : []))
            #expect(next.active == job(isOnTrial ? 1 : 2))
        }
    }

    @Test("A restart of the same software has nothing to fall back to")
    func sameSoftware() {
        var supervisor = well(job(1))
        #expect(supervisor.handle(.run(job(2)), now: .seconds(2)) == [.stop(job(1).manifest.stop, run: 1)])
        #expect(supervisor.plan.fallback == nil)
        _ = supervisor.handle(.stopped(run: 1), now: .seconds(2))
        #expect(supervisor.handle(.startFailed(run: 2, "gone"), now: .seconds(2)) == [])
        #expect(supervisor.state == .failed && supervisor.reason == "gone" && supervisor.deadline == .seconds(3))
    }

    @Test("A stop that comes while it starts is carried out as soon as it has started")
    func stopWhileStarting() {
        var supervisor = Supervisor()
        _ = supervisor.handle(.run(job(1)), now: .zero)
        #expect(supervisor.handle(.stop, now: .zero) == [])
        #expect(supervisor.handle(.started(run: 1), now: .zero) == [.stop(job(1).manifest.stop, run: 1)])
        #expect(supervisor.state == .draining)
        #expect(supervisor.handle(.stopped(run: 1), now: .zero) == [])
        #expect(supervisor.state == .stopped && supervisor.isDown && supervisor.active == nil)
    }

    @Test("New software is on trial until it was well without a break for its settle time; what ends before gives way")
    func settles() {
        let check = SoftwareManifest.HealthCheck(exec: ["./h"], every: .seconds(1), failures: 2)
        let (old, new) = (job(1), job(2, version: "2", health: check))
        func tried() -> Supervisor {
            var supervisor = well(old)
            _ = supervisor.handle(.run(new, settle: .seconds(5)), now: .seconds(2))
            _ = supervisor.handle(.stopped(run: 1), now: .seconds(2))
            _ = supervisor.handle(.started(run: 2), now: .seconds(2))
            _ = supervisor.handle(.checked(run: 2, failure: nil), now: .seconds(3))
            #expect(supervisor.state == .running && supervisor.plan.fallback == old)
            return supervisor
        }
        // Two seconds after its first check.
        var ended = tried()
        #expect(ended.handle(.exited(run: 2, "died"), now: .seconds(5)) == [.start(old, run: 3)])
        #expect(ended.reason == "sample@2 did not become healthy: died; sample@1 runs again")
        // One check that fails is a break, two in a row are a failure.
        var sick = tried()
        #expect(sick.handle(.checked(run: 2, failure: "ill"), now: .seconds(4)) == [])
        #expect(sick.plan.onTrial)
        #expect(sick.handle(.checked(run: 2, failure: "ill"), now: .seconds(5)) == [.stop(new.manifest.stop, run: 2)])
        var broken = tried()
        _ = broken.handle(.checked(run: 2, failure: "ill"), now: .seconds(4))
        _ = broken.handle(.checked(run: 2, failure: nil), now: .seconds(6))
        _ = broken.handle(.due, now: .seconds(10))
        #expect(broken.plan.onTrial, "the time begins anew")
        _ = broken.handle(.due, now: .seconds(11))
        #expect(!broken.plan.onTrial && broken.plan.fallback == nil)
        // And once it was long enough it stays, whatever comes; the deadline is when that is so.
        var good = tried()
        _ = good.handle(.checked(run: 2, failure: nil), now: .seconds(7))
        #expect(good.deadline == .seconds(8))
        _ = good.handle(.due, now: .seconds(8))
        #expect(!good.plan.onTrial)
        #expect(good.handle(.exited(run: 2, "died"), now: .seconds(9)) == [] && good.plan.wanted == new)
    }

    @Test("Whatever comes in whatever order, it asks for one thing at a time and never starts twice")
    func anyOrder() {
        for seed in 0..<500 {
            var generator = SeededGenerator(seed: UInt64(seed))
            var supervisor = Supervisor()
            var now = TimeSpan.zero
            var trace: [String] = []
            // What the shell was asked to do and has not answered.
            var starting: Int?
            var stopping: Int?
            var up: Int?
            for _ in 0..<60 {
                now = now + .milliseconds(Int64.random(in: 0...5_000, using: &generator))
                let event: Supervisor.Event
                switch Int.random(in: 0...9, using: &generator) {
                case 0: event = .run(job(trace.count + 1, version: "\(Int.random(in: 1...3, using: &generator))"))
                case 1: event = .stop
                case 8: event = .drain(Bool.random(using: &generator))
                case 9:
                    let hook: Intake.Hook = Bool.random(using: &generator) ? .drain : .undrain
                    event = .hooked(run: up ?? 0, hook, failure: Bool.random(using: &generator) ? "no" : nil)
                case 2: if let up { event = .exited(run: up, "exited") } else { event = .due }
                case 3, 4:
                    if let run = starting {
                        event = Bool.random(using: &generator) ? .started(run: run) : .startFailed(run: run, "no")
                    } else if let run = stopping {
                        event = .stopped(run: run)
                    } else {
                        event = .due
                    }
                default: event = .due
                }
                trace.append("\(event)")
                switch event {
                case .started(let run): (starting, up) = (nil, run)
                case .startFailed: starting = nil
                case .exited where stopping == nil, .stopped: (stopping, up) = (nil, nil)
                default: break
                }
                for action in supervisor.handle(event, now: now) {
                    switch action {
                    case .start(_, let run):
                        #expect(starting == nil && stopping == nil && up == nil, "\(trace)")
                        starting = run
                    case .stop(_, let run):
                        #expect(up == run && stopping == nil, "\(trace)")
                        stopping = run
                    case .check, .probe, .hook: #expect(up != nil, "\(trace)")
                    }
                }
            }
        }
    }
}
