import Fleet

// MARK: Draining

extension Supervisor {
    mutating func drain(_ drains: Bool, now: TimeSpan) {
        guard plan.wanted != nil, drains != (plan.drain == .on) else { return }
        guard case .up(var life) = phase else { return plan.drain = drains ? .on : nil }
        life.intake.want(closed: drains, now: now)
        phase = .up(life)
        plan.drain = drains ? .on : life.intake.isUntouched ? nil : .takenBack
    }

    mutating func begin(
        _ hook: Intake.Hook, of manifest: SoftwareManifest, _ life: inout Life, now: TimeSpan
    ) -> [Action] {
        let program = hook == .drain ? manifest.drain : manifest.undrain
        if let program { return [.hook(hook, program, run: run)] }
        if hook == .undrain, manifest.drain != nil {
            life.intake.stays("\(manifest.reference) has no undrain hook: it takes no new work until it is restarted")
        } else {
            conclude(&life, hook, nil, now: now)
        }
        if hook == .undrain { plan.drain = nil }
        return []
    }

    mutating func hooked(_ before: Life, _ hook: Intake.Hook, _ failure: String?, now: TimeSpan) {
        var life = before
        conclude(&life, hook, failure, now: now)
        if plan.drain == .takenBack, life.intake.position == .open { plan.drain = nil }
        phase = .up(life)
    }

    private func conclude(_ life: inout Life, _ hook: Intake.Hook, _ failure: String?, now: TimeSpan) {
        let hasProbe = active?.manifest.metrics != nil
        life.intake.ended(hook, failure: failure, isProbing: life.nextProbe == nil, hasProbe: hasProbe, now: now)
        if life.intake.awaitsProbe, life.nextProbe != nil { life.nextProbe = now }
    }
}
