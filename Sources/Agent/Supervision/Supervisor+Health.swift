import Fleet

// MARK: Health and failure

extension Supervisor {
    mutating func judged(_ before: Life, _ failure: String?, now: TimeSpan) -> [Action] {
        guard let active else { return [] }
        var life = before
        let check = active.manifest.health
        guard let failure else {
            life.failuresInRow = 0
            life.health = .passing
            life.wellSince = life.wellSince ?? now
            life.nextCheck = check.map { now + $0.every }
            if !life.passedOnce, active.manifest.metrics != nil, life.nextProbe == nil { life.nextProbe = now }
            life.passedOnce = true
            phase = .up(life)
            failed = false
            trouble = nil
            passTrial(now: now)
            return []
        }
        life.failuresInRow += 1
        life.wellSince = nil
        let every = check?.every ?? Self.upIsWell
        let needed = check?.failures ?? 1
        guard !life.passedOnce && !life.adopted else {
            life.nextCheck = now + every
            phase = .up(life)
            guard life.failuresInRow >= needed else { return [] }
            life.health = .failing
            phase = .up(life)
            trouble = failure
            return plan.onTrial && plan.fallback != nil ? fallBack(failure, now: now) : []
        }
        // Quick looks at first, so that good software is seen at once; slow software gets the time that its manifest gives it.
        life.quickChecks += 1
        life.nextCheck = now + min(every, .milliseconds(50 << Int64(min(life.quickChecks, 10))))
        phase = .up(life)
        let patience = min(every * Int64(needed), Self.longestTrial)
        guard life.failuresInRow >= needed, now - life.since >= patience else { return [] }
        life.health = .failing
        phase = .up(life)
        trouble = failure
        guard plan.onTrial else { return [] }
        if plan.fallback != nil { return fallBack(failure, now: now) }
        failed = true
        return halt(now: now, notBefore: now + nextBackoff())
    }

    /// When it has been well for so long that it is found good; nil: it is not well, or was found good before.
    func trialEnd(_ life: Life) -> TimeSpan? {
        guard plan.onTrial else { return nil }
        return life.wellSince.map { $0 + (plan.settle ?? .zero) }
    }

    mutating func passTrial(now: TimeSpan) {
        guard case .up(let life) = phase, let end = trialEnd(life), end <= now else { return }
        plan.onTrial = false
        plan.fallback = nil
        plan.settle = nil
        plan.reason = nil
    }

    /// The run is over, by itself or because it could not begin.
    mutating func ended(_ how: String, now: TimeSpan) -> [Action] {
        metrics = [:]
        guard let active, active == wanted else {
            phase = .down
            return startWanted()
        }
        trouble = how
        if plan.onTrial && plan.fallback != nil {
            phase = .down
            return fallBack(how, now: now)
        }
        let pause = nextBackoff()
        if crashes >= (plan.onTrial ? Self.mostTrialCrashes : Self.mostCrashes) { failed = true }
        phase = .waiting(until: now + pause)
        return []
    }

    /// Counts a failure and says how long to wait before the next try.
    private mutating func nextBackoff() -> TimeSpan {
        crashes += 1
        restarts += 1
        let doublings = Int64(min(crashes - 1, 10))
        return min(Self.firstBackoff * (1 << doublings), Self.longestBackoff)
    }

    mutating func fallBack(_ why: String, now: TimeSpan) -> [Action] {
        guard let old = plan.fallback, let new = plan.job else { return [] }
        plan = Plan(
            job: old, drain: plan.drain,
            reason: "\(new.manifest.reference) did not become healthy: \(why); \(old.manifest.reference) runs again")
        crashes = 0
        failed = false
        trouble = nil
        if case .up = phase { return halt(now: now) }
        return startWanted()
    }

    /// Whether what is up can go on for an order that asks for this.
    func mayKeep(_ job: Job, drains: Bool) -> Bool {
        guard case .up = phase, let active, active == wanted, active.runsTheSame(as: job) else { return false }
        // Where no hook takes a drain back, a start does.
        return drains || plan.drain == nil || active.manifest.drain == nil || active.manifest.undrain != nil
    }

    mutating func keep(_ job: Job) {
        guard mayKeep(job, drains: true) else { return }
        active = job
        plan.job = job
        plan.reason = nil
        // The count of a generation begins with it.
        restarts = 0
    }
}
