import Fleet

/// Brings a group's machines from one release to another, in waves: a state machine of its own, fed with what changed only.
///
/// Laws, whatever happens:
/// - it takes no machine out of service while `keep` or fewer serve, and begins no wave before the one before is through;
/// - a machine counts as ok only once it is verified with what it was assigned, for the whole settle time; one that is away
///   is neither ok nor failed and keeps no wave from ending;
/// - once more than `max_failed` have failed, no further machine is assigned the release.
struct Rollout: Sendable {
    /// What can be seen of a machine.
    struct Sighting: Hashable, Sendable {
        var place: Int
        var isPresent: Bool
        /// It is assigned what this rollout brings.
        var isAssigned: Bool
        /// Verified, with what it is assigned.
        var isVerified: Bool
        /// Why what it was assigned does not do on it.
        var fault: String?
        /// Verified, present, and taking new work.
        var serves: Bool
        /// It may have work, verified or not.
        var works: Bool
        /// Whether it must be drained before it is changed.
        var needsDrain: Bool
        /// It runs already what this rollout brings: nothing restarts for it.
        var keepsRunning = false
        var isDrained: Bool
        /// There, and certain to serve nobody.
        var isIdle: Bool { isPresent && !works }
        /// Whoever it serves notices nothing of the change.
        var isFree: Bool { isIdle || keepsRunning }
        /// Grows while it receives its software: no time runs out meanwhile.
        var progress = 0
    }

    enum Event: Hashable, Sendable {
        case seen(String, Sighting)
        case left(String)
        /// What the record says of a canary that is worse than the rest holds of this one.
        case worse(String)
        /// Users' words.
        case promote(by: String)
        case pause(by: String, why: String?)
        case resume(by: String)
        case abort(by: String, why: String?)
        /// The group is paused: whoever drains takes new work again.
        case standDown
        /// Something of the terms changed, or `nextDeadline` has come.
        case due
    }

    /// What holds for the group when something happens.
    struct Terms: Sendable {
        var policy: RolloutPolicy
        /// Machines in one wave.
        var batch: Int
        /// How many more machines may be taken out of service.
        var spare: Int
        /// Why nothing may begin now.
        var hold: String?
        /// The release was good before.
        var isGood: Bool
    }

    enum Step: Hashable, Sendable {
        case drain(String)
        case undrain(String)
        case assign(String)
        case judge(Verdict)
        /// The record is to be again what it was with the base.
        case goBack(why: String)
        case say(EventEntry.Kind, String, by: String = "manager")
    }

    enum Standing: Hashable, Sendable {
        /// Not in a wave yet.
        case waiting
        /// In the wave, and untouched.
        case drawn
        case draining
        /// Assigned, and not verified yet.
        case changing
        /// Assigned, and away before it was verified.
        case lost
        case ok
        case failed
    }

    struct Member: Sendable {
        var sighting: Sighting
        var standing: Standing
        var since: Timestamp
        /// Whether its failure counts: it was given the release by this rollout.
        var isJudged: Bool
    }

    var record: RolloutRecord
    var members: [String: Member] = [:]
    /// Of those that are present.
    private var tally: [Standing: Int] = [:]
    private(set) var away = 0
    /// Not in a wave yet, last first; some of them may have moved on since.
    var queue: [String] = []
    /// Came, or came back, since the queue was made.
    var late: [String] = []
    var drawn: [String] = []
    /// Drained, and not assigned yet.
    var ready: [String] = []
    var draining: Set<String> = []
    var changing: Set<String> = []
    var lost: Set<String> = []
    /// Those that ever failed under it.
    private var failed: Set<String> = []
    var wave: Set<String> = []
    /// No machine's time is up before that.
    var checkAt: Timestamp?
    var canaryEnds: Timestamp?
    /// When the rest of a large wave follows.
    var goesOnAt: Timestamp?
    var steps: [Step] = []
    /// The canary that is worse than the rest, while one event is handled.
    var worse: String?

    /// So many machines are taken in hand by one event at most: nobody else is to wait until the orders of a whole fleet are recorded.
    static let mostAtOnce = 250

    /// Begins it, or goes on with one that another manager began.
    init(_ record: RolloutRecord, _ machines: [(id: String, sighting: Sighting)], at now: Timestamp) {
        self.record = record
        failed = Set(record.failures.keys)
        for (id, sighting) in machines {
            let standing: Standing =
                switch (sighting.isAssigned, sighting.isVerified) {
                case (false, _): .waiting
                case (true, true): .ok
                case (true, false): sighting.isPresent ? .changing : .lost
                }
            let isFailed = standing == .changing && record.failures[id] != nil && sighting.fault != nil
            enter(id, Member(sighting: sighting, standing: isFailed ? .failed : standing, since: now, isJudged: true))
        }
        // Those of which nothing is taken come first; the last of the list is the next.
        queue = machines.filter { !$0.sighting.isAssigned }.sorted {
            ($0.sighting.isFree ? 0 : 1, $0.sighting.place) > ($1.sighting.isFree ? 0 : 1, $1.sighting.place)
        }.map(\.id)
        if let last = record.waves.last, last.ended == nil { wave = changing }
    }

    // MARK: What people see

    func count(_ standing: Standing) -> Int { tally[standing] ?? 0 }

    var isWatchingCanaries: Bool {
        guard record.isOpen, !record.isPromoted, let last = record.waves.last else { return false }
        return last.isCanary
    }

    /// When `due` is to be sent, if nothing else happens.
    var nextDeadline: Timestamp? {
        record.isOpen || record.phase == .done ? [checkAt, canaryEnds, goesOnAt].compactMap(\.self).min() : nil
    }

    /// Why a word can't be followed; nil: it can.
    func refusal(of event: Event) -> String? {
        switch event {
        case .promote:
            record.phase == .waiting || isWatchingCanaries && record.phase == .rolling
                ? nil : "the rollout waits for nobody's word: it is \(record.phase.rawValue)"
        case .abort where !record.isOpen: "no rollout goes on: it is \(record.phase.rawValue)"
        case .abort where record.phase == .goingBack: "it goes back already"
        case .pause where !record.isOpen: "no rollout goes on: it is \(record.phase.rawValue)"
        default: nil
        }
    }

    // MARK: Events

    mutating func handle(_ event: Event, under terms: Terms, at now: Timestamp) -> [Step] {
        steps = []
        switch event {
        case .seen(let id, let sighting): see(id, sighting, now)
        case .left(let id): if let member = members[id] { depart(id, member) }
        case .worse(let id): worse = id
        case .promote(let person): promote(by: person)
        case .pause(let person, let why): pause(by: person, why ?? "\(person) paused it")
        case .resume(let person): resume(by: person)
        case .abort(let person, let why): abort(by: person, why, now)
        case .standDown: standDown()
        // Not by what a machine says: `due` comes behind what others have said by then, so that nobody waits for a wave.
        case .due: if let next = goesOnAt, next <= now { goesOnAt = nil }
        }
        advance(terms, now)
        worse = nil
        defer { steps = [] }
        return steps
    }

    private mutating func see(_ id: String, _ sighting: Sighting, _ now: Timestamp) {
        guard var member = members[id] else {
            let standing: Standing =
                !sighting.isAssigned
                ? .waiting : sighting.isVerified ? .ok : sighting.isPresent ? .changing : .lost
            enter(id, Member(sighting: sighting, standing: standing, since: now, isJudged: record.isAtOnce))
            if standing == .waiting { late.append(id) }
            return
        }
        depart(id, member)
        if sighting.progress != member.sighting.progress { member.since = now }
        let came = sighting.isPresent && !member.sighting.isPresent
        member.sighting = sighting
        let before = member.standing
        member.standing = standing(after: member, id)
        if member.standing != before { member.since = now }
        if member.standing == .waiting, came || before != .waiting { late.append(id) }
        if before == .draining, member.standing == .waiting { steps.append(.undrain(id)) }
        if member.standing == .draining, sighting.isDrained { ready.append(id) }
        enter(id, member)
    }

    private mutating func standing(after member: Member, _ id: String) -> Standing {
        let sighting = member.sighting
        switch member.standing {
        case .waiting: return sighting.isAssigned ? .changing : .waiting
        case .drawn, .draining: return sighting.isPresent ? member.standing : .waiting
        case .changing, .lost:
            guard sighting.isPresent else { return .lost }
            guard sighting.isAssigned else { return .waiting }
            if sighting.isVerified { return .ok }
            guard member.isJudged, let fault = sighting.fault else { return .changing }
            return fail(id, fault)
        case .failed: return !sighting.isAssigned ? .waiting : sighting.isVerified ? .ok : .failed
        case .ok:
            guard sighting.isAssigned else { return .waiting }
            // What breaks after its settle time, while others are yet to be changed, is a bad release all the same.
            guard member.isJudged, record.isOpen, sighting.isPresent, let fault = sighting.fault else { return .ok }
            return fail(id, fault)
        }
    }

    mutating func fail(_ id: String, _ fault: String) -> Standing {
        guard failed.insert(id).inserted else { return .failed }
        record.failed += 1
        steps.append(.say(.rolloutMachineFailed, "\(id) failed: \(fault)"))
        if record.failures.count < RolloutRecord.listed { record.failures[id] = String(fault.prefix(300)) }
        return .failed
    }

    // MARK: Words

    private mutating func promote(by person: String) {
        record.isPromoted = true
        if record.phase == .waiting { record.phase = .rolling }
        steps.append(.say(.rolloutPromoted, "\(person) lets \(record.what) go on behind its canaries", by: person))
    }

    private mutating func pause(by person: String, _ why: String) {
        guard record.isOpen, record.phase != .goingBack else { return }
        record.phase = .paused
        record.why = why
        standDown()
        steps.append(.say(.rolloutPaused, "Rollout \(record.number), \(record.what), is paused: \(why)", by: person))
    }

    private mutating func resume(by person: String) {
        guard record.phase == .paused else { return }
        record.phase = .rolling
        record.why = nil
        record.forgiven = record.failed
        steps.append(.say(.rolloutResumed, "Rollout \(record.number), \(record.what), goes on", by: person))
    }

    private mutating func abort(by person: String, _ why: String?, _ now: Timestamp) {
        guard record.isOpen, record.phase != .goingBack else { return }
        standDown()
        let because = "\(person) aborted rollout \(record.number)" + (why.map { ": \($0)" } ?? "")
        record.why = because
        if let base = record.base, base != record.release {
            record.phase = .goingBack
            steps.append(.goBack(why: because))
        } else {
            record.phase = .aborted
            record.ended = now
        }
        steps.append(.say(.rolloutAborted, because, by: person))
    }

    /// Its end, from outside: a newer one takes its place, or its group stopped.
    mutating func end(_ phase: RolloutRecord.Phase, at now: Timestamp) -> [Step] {
        guard record.isOpen else { return [] }
        steps = []
        standDown()
        record.phase = record.phase == .goingBack && phase == .superseded ? .failed : phase
        record.ended = now
        if let last = record.waves.indices.last, record.waves[last].ended == nil { record.waves[last].ended = now }
        defer { steps = [] }
        return steps
    }

    /// Whoever is in the wave and was not assigned anything stays as it is.
    mutating func standDown() {
        for id in draining.sorted() + drawn {
            guard var member = members[id], member.standing == .draining || member.standing == .drawn else { continue }
            depart(id, member)
            if member.standing == .draining { steps.append(.undrain(id)) }
            member.standing = .waiting
            enter(id, member)
            late.append(id)
        }
        drawn = []
    }
}

// MARK: - Bookkeeping

extension Rollout {
    fileprivate mutating func enter(_ id: String, _ member: Member) {
        members[id] = member
        if member.sighting.isPresent { tally[member.standing, default: 0] += 1 } else { away += 1 }
        switch member.standing {
        case .draining: draining.insert(id)
        case .changing where member.isJudged: changing.insert(id)
        case .lost: lost.insert(id)
        default: break
        }
    }

    fileprivate mutating func depart(_ id: String, _ member: Member) {
        members[id] = nil
        if member.sighting.isPresent { tally[member.standing, default: 0] -= 1 } else { away -= 1 }
        draining.remove(id)
        changing.remove(id)
        lost.remove(id)
    }

    mutating func put(_ id: String, _ standing: Standing, _ now: Timestamp) {
        guard var member = members[id] else { return }
        depart(id, member)
        member.standing = standing
        member.since = now
        if standing == .changing { member.isJudged = true }
        enter(id, member)
    }
}
