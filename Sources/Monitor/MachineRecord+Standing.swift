import Fleet

extension MachineRecord {
    /// Whether it holds its place, or will.
    var isToStay: Bool { phase == .launching || phase == .joined }

    /// Away, and not because there is no such machine any more.
    var isAbsent: Bool { phase == .joined && judged.awaySince != nil && judged.platformState != .gone }

    /// Away, and its platform says that there is no such machine any more.
    var isGone: Bool { judged.awaySince != nil && judged.platformState == .gone }

    /// Whether it may have work, as far as it has said.
    var works: Bool {
        guard phase == .joined, judged.awaySince == nil, let status = reported.status, let software = status.software
        else { return false }
        return (status.state == .running || status.state == .draining) && software.health != .failing
    }

    /// Whether new work is in good hands with it.
    var serves: Bool {
        phase == .joined && judged.awaySince == nil && judged.verified && wanted.order?.action == .run
    }

    /// Since when its place has been in change; nil: it is not.
    func changingSince(at now: Timestamp) -> Timestamp? {
        switch phase {
        case .launching, .leaving: judged.phaseSince
        // It registered lately, and has not come to run yet.
        case .joined:
            !judged.verified && judged.awaySince == nil && judged.phaseSince + .minutes(2) > now
                ? judged.phaseSince : nil
        case .revoked: platform == .none ? nil : judged.phaseSince
        }
    }

    /// What of it must outlive the manager: heartbeats that say nothing new are not worth a write.
    var durable: MachineRecord {
        var copy = self
        copy.reported.forgetWhatPasses()
        return copy
    }

    /// An instant that lies in the future was written by another clock.
    mutating func clamp(to now: Timestamp) {
        wanted.clamp(to: now)
        reported.restartedAt = reported.restartedAt.map { min($0, now) }
        judged.clamp(to: now)
    }
}

extension MachineRecord.Wanted {
    fileprivate mutating func clamp(to now: Timestamp) {
        if let assigned { self.assigned?.since = min(assigned.since, now) }
        if let drain {
            self.drain?.asked = min(drain.asked, now)
            self.drain?.since = drain.since.map { min($0, now) }
            self.drain?.ended = drain.ended.map { min($0, now) }
        }
    }
}

extension MachineRecord.Reported {
    fileprivate mutating func forgetWhatPasses() {
        heardAt = nil
        status?.sequence = 0
        status?.at = Timestamp(milliseconds: 0)
        status?.metrics = [:]
        status?.receiving = nil
        rates = [:]
    }
}

extension MachineRecord.Judged {
    fileprivate mutating func clamp(to now: Timestamp) {
        phaseSince = min(phaseSince, now)
        awaySince = awaySince.map { min($0, now) }
        wellSince = wellSince.map { min($0, now) }
        launchedAt = launchedAt.map { min($0, now) }
        held = held.mapValues { min($0, now) }
    }
}
