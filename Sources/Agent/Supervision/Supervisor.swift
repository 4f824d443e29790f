import Fleet

/// Decides when software is started, checked, stopped, restarted and replaced. Pure: the shell performs the actions and reports back.
///
/// Every action carries the number of the run that it is for, and answers for an earlier run change nothing.
struct Supervisor: Sendable {
    enum Event: Equatable, Sendable {
        /// The agent begins, and nothing of an earlier agent runs.
        case boot
        /// The agent begins, and what an earlier agent started still runs.
        case adopt(Job, restarts: Int)
        /// - `settle`: so long it must be well without a break before it counts as good; nil: its first passed check does.
        case run(Job, settle: TimeSpan? = nil, drains: Bool = false)
        /// What is up goes on for another order, where `mayKeep` allows it: nothing is restarted, nor tried anew.
        case keep(Job)
        /// Whether what runs is to take no new work, or to take it again.
        case drain(Bool)
        case stop
        /// The agent is to end: stop, but keep the plan.
        case shutdown
        case started(run: Int)
        case startFailed(run: Int, String)
        /// The main process ended by itself.
        case exited(run: Int, String)
        /// A `stop` action is done: nothing of the run is left.
        case stopped(run: Int)
        /// A health check's end; nil: passed.
        case checked(run: Int, failure: String?)
        /// A metrics probe's end; nil: it failed.
        case probed(run: Int, [String: Double]?)
        /// A drain or undrain hook's end; nil: it ended well.
        case hooked(run: Int, Intake.Hook, failure: String?)
        /// A deadline has come.
        case due
    }

    enum Action: Equatable, Sendable {
        /// Kill what is left of the last run, verify the release, start; answer with `started` or `startFailed`.
        case start(Job, run: Int)
        /// The manifest's signal, its timeout, then SIGKILL; answer with `stopped`.
        case stop(SoftwareManifest.Stop, run: Int)
        case check(SoftwareManifest.HealthCheck, run: Int)
        case probe(SoftwareManifest.MetricsProbe, run: Int)
        case hook(Intake.Hook, SoftwareManifest.DrainHook, run: Int)
    }

    /// How a process that is up fares.
    struct Life: Equatable, Sendable {
        var since: TimeSpan
        /// An agent before us started it, so it counts as running until a check says otherwise.
        var adopted = false
        var health = Health.unknown
        /// Since when it passes without a break.
        var wellSince: TimeSpan?
        var passedOnce = false
        var failuresInRow = 0
        var quickChecks = 0
        /// Nil while a check or probe is under way.
        var nextCheck: TimeSpan?
        var nextProbe: TimeSpan?
        var intake: Intake

        /// Whether it can be asked to take no new work.
        var isReady: Bool { passedOnce || adopted }
    }

    enum Phase: Equatable, Sendable {
        case down
        case starting
        case up(Life)
        /// Then the plan's job is started, but not before the instant.
        case stopping(notBefore: TimeSpan)
        case waiting(until: TimeSpan)
    }

    var plan: Plan
    var phase = Phase.down
    /// What is up, or was last.
    var active: Job?
    var restarts = 0
    var metrics: [String: Double] = [:]
    /// Several failures without a healthy time between them: it is tried again, but counts as failed.
    var failed = false
    /// The last thing that went wrong, until it is well again.
    var trouble: String?
    var run = 0
    var crashes = 0
    private var closing = false

    static let firstBackoff = TimeSpan.seconds(1)
    static let longestBackoff = TimeSpan.seconds(60)
    /// So many failures in a row make `failed`.
    static let mostCrashes = 5
    /// So many of software that has never been well, where there is nothing to go back to.
    static let mostTrialCrashes = 3
    static let longestTrial = TimeSpan.seconds(30)
    /// Healthy this long, earlier failures are forgotten.
    static let healing = TimeSpan.seconds(60)
    /// Without a check, software that stays up this long is well.
    static let upIsWell = TimeSpan.seconds(1)

    init(plan: Plan = Plan()) { self.plan = plan }

    // MARK: What to report

    var health: Health {
        if case .up(let life) = phase { return life.health }
        return failed ? .failing : .unknown
    }

    var state: MachineState {
        switch phase {
        case .down: return plan.stopped ? .stopped : failed ? .failed : .idle
        case .stopping where plan.wanted == nil || closing: return .draining
        case .starting, .waiting, .stopping: return failed ? .failed : .starting
        case .up(let life):
            if failed { return .failed }
            guard life.isReady || (life.health == .failing && !plan.onTrial) else { return .starting }
            return life.intake.isDraining ? .draining : .running
        }
    }

    /// None that were measured before it was drained, or told to take new work again.
    var reportedMetrics: [String: Double] {
        if case .up(let life) = phase, life.intake.isUnmeasured { return [:] }
        return metrics
    }

    var reason: String? {
        if let trouble { return trouble }
        if case .up(let life) = phase, let trouble = life.intake.trouble { return trouble }
        return plan.reason
    }

    /// Nothing runs, and nothing is being started or stopped.
    var isDown: Bool { phase == .down }

    /// Nothing is being started, stopped or tried.
    var isSettled: Bool {
        switch phase {
        case .down, .waiting: true
        case .up(let life): !plan.onTrial && life.isReady
        case .starting, .stopping: false
        }
    }

    /// When `due` is to come; nil: nothing waits for time.
    var deadline: TimeSpan? {
        switch phase {
        case .waiting(let until): return until
        case .up(let life):
            let healed = crashes > 0 ? life.wellSince.map { $0 + Self.healing } : nil
            let hook = life.isReady ? life.intake.next : nil
            return [life.nextCheck, life.nextProbe, healed, hook, trialEnd(life)].compactMap { $0 }.min()
        case .down, .starting, .stopping: return nil
        }
    }

    // MARK: Events

    mutating func handle(_ event: Event, now: TimeSpan) -> [Action] {
        switch event {
        case .boot: return startWanted()
        case .adopt(let job, let restarts): return adopt(job, restarts: restarts, now: now)
        case .run(let job, let settle, let drains):
            return replace(with: job, settle: settle, drains: drains, now: now)
        case .keep(let job):
            keep(job)
            return []
        case .drain(let drains):
            drain(drains, now: now)
            return []
        case .stop:
            plan.stopped = true
            plan.drain = nil
            plan.fallback = nil
            plan.onTrial = false
            plan.reason = nil
            failed = false
            trouble = nil
            return windDown(now: now)
        case .shutdown:
            closing = true
            return windDown(now: now)
        case .started(let number): return number == run ? started(now: now) : []
        case .startFailed(let number, let reason):
            guard number == run, phase == .starting else { return [] }
            if plan.onTrial, plan.fallback == nil, active == wanted { failed = true }
            return ended(reason, now: now)
        case .exited(let number, let how):
            guard number == run, case .up = phase else { return [] }
            return ended(how, now: now)
        case .stopped(let number):
            guard number == run, case .stopping(let notBefore) = phase else { return [] }
            phase = .down
            if wanted == nil { active = nil }
            guard wanted != nil, notBefore > now else { return startWanted() }
            phase = .waiting(until: notBefore)
            return []
        case .checked(let number, let failure):
            guard number == run, case .up(let life) = phase else { return [] }
            return judged(life, failure, now: now)
        case .probed(let number, let values):
            guard number == run, case .up(var life) = phase, let probe = active?.manifest.metrics else { return [] }
            metrics = values ?? [:]
            life.nextProbe = life.intake.probed(well: values != nil) ? now : now + probe.every
            phase = .up(life)
            return []
        case .hooked(let number, let hook, let failure):
            guard number == run, case .up(let life) = phase else { return [] }
            hooked(life, hook, failure, now: now)
            return []
        case .due: return due(now: now)
        }
    }

    var wanted: Job? { closing ? nil : plan.wanted }

    mutating func startWanted() -> [Action] {
        guard let job = wanted else {
            phase = .down
            active = nil
            return []
        }
        run += 1
        if active?.generation != job.generation || active?.digest != job.digest { restarts = 0 }
        active = job
        // What has just started takes work.
        if plan.drain == .takenBack { plan.drain = nil }
        phase = .starting
        metrics = [:]
        return [.start(job, run: run)]
    }

    private mutating func adopt(_ job: Job, restarts: Int, now: TimeSpan) -> [Action] {
        run += 1
        // An agent that was killed may have kept in the plan, and not with the process, for which order it goes on.
        let isWanted = wanted.map { $0 == job || !plan.onTrial && $0.runsTheSame(as: job) } ?? false
        active = isWanted ? wanted : job
        self.restarts = restarts
        phase = .up(
            Life(
                since: now, adopted: !plan.onTrial, nextCheck: now, nextProbe: job.manifest.metrics.map { _ in now },
                // How far an earlier agent came with its hooks nobody knows.
                intake: Intake(
                    isToClose: plan.drain == .on, position: plan.drain == nil ? .open : .unknown, now: now)))
        return isWanted ? [] : halt(now: now)
    }

    private mutating func replace(with job: Job, settle: TimeSpan?, drains: Bool, now: TimeSpan) -> [Action] {
        let before = plan.onTrial ? plan.fallback : plan.wanted
        plan = Plan(
            job: job, fallback: before.flatMap { $0.runsTheSame(as: job) ? nil : $0 }, onTrial: true, settle: settle,
            drain: drains ? .on : nil)
        crashes = 0
        failed = false
        trouble = nil
        switch phase {
        case .down, .waiting: return startWanted()
        case .up: return halt(now: now)
        case .stopping:
            phase = .stopping(notBefore: now)
            return []
        // Its `started` finds that another job is wanted.
        case .starting: return []
        }
    }

    private mutating func windDown(now: TimeSpan) -> [Action] {
        switch phase {
        case .up: return halt(now: now)
        case .down, .waiting:
            phase = .down
            active = nil
            metrics = [:]
            return []
        case .starting, .stopping: return []
        }
    }

    /// Stops what is up; then the plan's job is started.
    mutating func halt(now: TimeSpan, notBefore: TimeSpan? = nil) -> [Action] {
        guard let active else { return [] }
        phase = .stopping(notBefore: notBefore ?? now)
        metrics = [:]
        return [.stop(active.manifest.stop, run: run)]
    }

    private mutating func started(now: TimeSpan) -> [Action] {
        guard phase == .starting, let active else { return [] }
        let first = active.manifest.health == nil ? Self.upIsWell : .milliseconds(50)
        phase = .up(
            Life(since: now, nextCheck: now + first, intake: Intake(isToClose: plan.drain == .on, now: now)))
        return active == wanted ? [] : halt(now: now)
    }

    private mutating func due(now: TimeSpan) -> [Action] {
        switch phase {
        case .waiting(let until): return until <= now ? startWanted() : []
        case .up(var life):
            var actions: [Action] = []
            if let well = life.wellSince, well + Self.healing <= now {
                crashes = 0
            }
            if life.isReady, let hook = life.intake.due(now: now), let active {
                actions += begin(hook, of: active.manifest, &life, now: now)
            }
            if let next = life.nextProbe, next <= now, let probe = active?.manifest.metrics {
                life.nextProbe = nil
                actions.append(.probe(probe, run: run))
            }
            if let next = life.nextCheck, next <= now {
                life.nextCheck = nil
                guard let check = active?.manifest.health else { return actions + judged(life, nil, now: now) }
                actions.append(.check(check, run: run))
            }
            phase = .up(life)
            passTrial(now: now)
            return actions
        case .down, .starting, .stopping: return []
        }
    }
}
