import Fleet

/// Which machines come next, what keeps a wave from beginning, and when enough have failed.
extension Rollout {
    mutating func advance(_ terms: Terms, _ now: Timestamp) {
        // Also where it may not go on now: a deadline that has come must not stand, or the monitor would meet it for ever.
        if let end = canaryEnds, end <= now { canaryEnds = nil }
        checkTimes(terms, now)
        checkFailures(terms, now)
        guard record.phase == .rolling || record.phase == .done || record.phase == .waiting, terms.hold == nil else {
            return
        }
        guard goesOnAt == nil else { return }
        var spare = terms.spare
        work(terms, &spare, now)
        while drawn.isEmpty, draining.isEmpty, changing.isEmpty {
            endWave(now)
            guard lost.count <= terms.policy.maxFailed, passesCanaries(terms, now) else { return }
            let next = draw(terms)
            guard !next.isEmpty else { return conclude(terms, now) }
            begin(next, terms, now)
            work(terms, &spare, now)
            // What could not be begun for want of others that serve is tried again when one more does.
            if !drawn.isEmpty { return }
        }
    }

    /// Takes machines of the wave out of service, as many as may be.
    private mutating func work(_ terms: Terms, _ spare: inout Int, _ now: Timestamp) {
        let drained = ready.filter { members[$0]?.standing == .draining }
        for id in drained.prefix(Self.mostAtOnce) { assign(id, now) }
        ready = Array(drained.dropFirst(Self.mostAtOnce))
        let waiting = drawn.filter { members[$0]?.standing == .drawn }
        drawn = []
        var room = Self.mostAtOnce - drained.count
        if room < 0 { goesOnAt = now + .milliseconds(1) }
        for (place, id) in waiting.enumerated() {
            guard let member = members[id] else { continue }
            guard room > 0 else {
                drawn += waiting[place...]
                goesOnAt = now + .milliseconds(1)
                return
            }
            // One that has to wait keeps nobody back who serves nothing.
            if member.sighting.serves {
                guard spare > 0 else {
                    drawn.append(id)
                    continue
                }
                spare -= 1
            }
            room -= 1
            guard member.sighting.needsDrain, !member.sighting.isDrained else {
                assign(id, now)
                continue
            }
            put(id, .draining, now)
            steps.append(.drain(id))
        }
    }

    private mutating func assign(_ id: String, _ now: Timestamp) {
        put(id, .changing, now)
        steps.append(.assign(id))
    }

    private mutating func draw(_ terms: Terms) -> [String] {
        if let canary = canary(terms) {
            // Where all that were there have gone, those that came later are all there is.
            let able = (queue.reversed() + late.filter { !queue.contains($0) }).filter { isReady($0) }
            let working = able.filter { members[$0]?.sighting.works == true }
            return Array((working + able.filter { members[$0]?.sighting.works != true }).prefix(canary.machines))
        }
        let size = record.isAtOnce ? Int.max : terms.batch
        var next: [String] = []
        while next.count < size, let id = queue.popLast() { if isReady(id) { next.append(id) } }
        var left: [String] = []
        for id in late {
            guard isReady(id), !next.contains(id) else { continue }
            if next.count < size { next.append(id) } else { left.append(id) }
        }
        late = left
        return next
    }

    /// Whether canaries are to try the release before others: until one of them was well.
    private func canary(_ terms: Terms) -> RolloutPolicy.Canary? {
        guard !record.isAtOnce, !record.isPromoted, !terms.isGood,
            !record.waves.contains(where: { $0.isCanary && $0.ok > 0 })
        else { return nil }
        return terms.policy.canary
    }

    private func isReady(_ id: String) -> Bool {
        members[id].map { $0.standing == .waiting && $0.sighting.isPresent } ?? false
    }

    private mutating func begin(_ ids: [String], _ terms: Terms, _ now: Timestamp) {
        let isCanary = canary(terms) != nil
        for id in ids { put(id, .drawn, now) }
        drawn = ids
        wave = Set(ids)
        if record.waves.count == RolloutRecord.listed { record.waves.remove(at: 1) }
        let number = (record.waves.last?.number ?? 0) + 1
        record.waves.append(
            .init(
                number: number, isCanary: isCanary, machines: Array(ids.prefix(RolloutRecord.listed)), count: ids.count,
                began: now))
        if record.phase == .done {
            record.phase = .rolling
            record.ended = nil
        }
        // That all begins at once needs no line of its own.
        guard !record.isAtOnce else { return }
        let names = ids.prefix(10).joined(separator: ", ") + (ids.count > 10 ? " and \(ids.count - 10) more" : "")
        let word = isCanary ? "canaries" : "wave \(number)"
        steps.append(.say(.rolloutWave, "\(record.what), \(word): \(names)"))
    }

    private mutating func endWave(_ now: Timestamp) {
        guard let last = record.waves.indices.last, record.waves[last].ended == nil else { return }
        record.waves[last].ended = now
        for id in wave {
            guard let member = members[id] else { continue }
            guard member.sighting.isPresent else {
                record.waves[last].away += 1
                continue
            }
            switch member.standing {
            case .ok: record.waves[last].ok += 1
            case .failed: record.waves[last].failed += 1
            default: record.waves[last].away += 1
            }
        }
        wave = []
    }

    /// Whether what comes behind the canaries may begin.
    private mutating func passesCanaries(_ terms: Terms, _ now: Timestamp) -> Bool {
        canaryEnds = nil
        guard isWatchingCanaries, let last = record.waves.last, let canary = terms.policy.canary else { return true }
        guard last.ok > 0 else {
            // Where all of them went away, others take their place.
            if last.failed > 0 { giveUp("its canaries failed", terms, now) }
            return last.failed == 0
        }
        let end = (last.ended ?? now) + canary.holds
        guard end <= now else {
            canaryEnds = end
            return false
        }
        if terms.policy.promote == .auto {
            record.isPromoted = true
            return true
        }
        if record.phase != .waiting {
            record.phase = .waiting
            steps.append(
                .say(.rolloutWaits, "\(record.what): the canaries are well; waits for a person to promote or abort it"))
        }
        return false
    }

    private mutating func conclude(_ terms: Terms, _ now: Timestamp) {
        let present = members.count - away
        guard record.phase == .rolling, present > 0, count(.ok) == present else { return }
        record.phase = .done
        record.ended = now
        record.why = nil
        // Whoever comes late months after has only itself to answer for.
        record.forgiven = record.failed
        if !terms.isGood { steps.append(.judge(.good)) }
        guard !record.isAtOnce else { return }
        steps.append(
            .say(
                .rolloutDone,
                "Rollout \(record.number), \(record.what), is done: \(present) ok"
                    + (record.failed == 0 ? "" : ", \(record.failed) failed before")
                    + (away == 0 ? "" : ", \(away) still away")))
    }

    // MARK: Failure

    /// Whoever was not verified in time has failed.
    private mutating func checkTimes(_ terms: Terms, _ now: Timestamp) {
        guard record.isOpen || record.phase == .done else { return }
        let within = terms.policy.within
        if let checkAt, checkAt <= now {
            for id in changing.sorted() {
                guard let member = members[id], member.since + within <= now else { continue }
                let standing = fail(id, "it was not verified within \(within)")
                put(id, standing, now)
            }
            self.checkAt = nil
        }
        guard checkAt == nil else { return }
        checkAt = changing.compactMap { members[$0]?.since }.min().map { $0 + within }
    }

    private mutating func checkFailures(_ terms: Terms, _ now: Timestamp) {
        guard record.phase == .rolling || record.phase == .done || record.phase == .waiting else { return }
        if let worse, isWatchingCanaries {
            return giveUp("canary \(worse) is worse than the rest", terms, now)
        }
        guard record.failed > terms.policy.maxFailed + record.forgiven else { return }
        let some = record.failures.sorted { $0.key < $1.key }.prefix(3).map { "\($0.key): \($0.value)" }
        giveUp(
            "\(record.failed) failed, more than max_failed (\(terms.policy.maxFailed)); "
                + some.joined(separator: "; "), terms, now)
    }

    private mutating func giveUp(_ why: String, _ terms: Terms, _ now: Timestamp) {
        record.why = why
        let bringsNew = record.base != record.release
        if !terms.isGood, bringsNew { steps.append(.judge(.failed(reason: why, at: now))) }
        standDown()
        if terms.policy.onFailure == .rollback, !terms.isGood, record.base != nil, bringsNew {
            record.phase = .goingBack
            steps.append(.say(.rolloutFailed, "Rollout \(record.number), \(record.what), goes back: \(why)"))
            steps.append(.goBack(why: why))
        } else if record.base == nil {
            // Nothing better is known: whoever comes to run is welcome.
            record.forgiven = record.failed
            steps.append(.say(.rolloutFailed, "\(record.what): \(why); there is nothing to go back to"))
        } else {
            record.phase = .paused
            steps.append(.say(.rolloutPaused, "Rollout \(record.number), \(record.what), is paused: \(why)"))
        }
    }
}
