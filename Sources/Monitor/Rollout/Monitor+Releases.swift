package import Fleet
import Rules

/// What machines can be asked to be, and which of it each is assigned.
extension Monitor {
    /// So many good releases are remembered to go back to.
    static let keptReleases = 10

    /// What a machine is assigned; what the record says where it is assigned nothing.
    func release(of machine: MachineRecord, _ group: Group) -> Release {
        group.releases[machine.wanted.assigned?.release ?? group.record.release] ?? group.release
    }

    /// The group as this machine is to see it.
    func record(for machine: MachineRecord, _ group: Group) -> GroupRecord {
        let release = release(of: machine, group)
        var record = group.record
        record.digest = release.digest
        record.manifest = release.manifest
        record.definition.software = release.definition.software
        record.definition.environment = release.definition.environment
        return record
    }

    /// What a new machine is to be: never what others are only trying.
    func assignment(forNewcomerOf group: Group) -> Assignment {
        let target = Assignment(release: group.record.release, turn: group.record.turn, since: now)
        guard let rollout = group.rollout?.record, rollout.isOpen, !rollout.isAtOnce, let base = rollout.base,
            group.release.verdict != .good, group.releases[base] != nil
        else { return target }
        return Assignment(release: base, turn: group.record.turn, since: now)
    }

    /// The release that a record asks for: one that is known where it asks the same of machines, else a new one.
    func releaseNumber(of record: GroupRecord, in group: Group?) -> Int {
        guard let group else { return record.revision }
        let same = group.releases.values.filter { $0.asksTheSame(as: Release(record)) }.map(\.number)
        if same.contains(group.record.release) { return group.record.release }
        return same.max() ?? record.revision
    }

    /// The newest good one before this.
    func goodRelease(before number: Int, in group: Group) -> Release? {
        group.releases.values.filter { $0.number < number && $0.verdict == .good }.max { $0.number < $1.number }
    }

    /// What a group goes back to where nobody says to which; nil: there is nothing.
    package func releaseToGoBackTo(_ name: String) -> Release? {
        living(name).flatMap { goodRelease(before: $0.record.release, in: $0) }
    }

    package func release(_ name: String) -> Release? { living(name)?.release }
    package func releases(of name: String) -> [Release] {
        (living(name)?.releases ?? [:]).values.sorted { $0.number < $1.number }
    }

    /// Takes a new revision's release up; returns whether machines are asked for something else than before.
    mutating func adopt(_ record: GroupRecord, after before: GroupRecord?) -> Bool {
        let name = record.name
        let known = groups[name]?.releases[record.release]
        var release = Release(record)
        release.number = record.release
        release.verdict = known?.verdict ?? .untried
        let changed = before.map { $0.release != record.release || $0.turn != record.turn } ?? true
        // Whoever asks for it once more wants it tried once more.
        if changed, case .failed = release.verdict { judge(name, release.number, .untried, known: release) }
        if case .failed = release.verdict, changed { release.verdict = .untried }
        if changed, let before, let former = groups[name]?.releases[before.release], former.verdict == .good {
            step.effects.append(.saveVerdict(group: name, release: former.number, .good))
        }
        groups[name]?.releases[release.number] = release
        // The new revision has the verdict of what it asks for.
        if release.verdict != .untried {
            step.effects.append(.saveVerdict(group: name, release: release.number, release.verdict))
        }
        forgetReleases(name)
        return changed
    }

    mutating func judge(_ name: String, _ number: Int, _ verdict: Verdict, known: Release? = nil) {
        guard groups[name]?.releases[number]?.verdict != verdict else { return }
        groups[name]?.releases[number]?.verdict = verdict
        step.effects.append(.saveVerdict(group: name, release: number, verdict))
    }

    private mutating func forgetReleases(_ name: String) {
        guard let group = groups[name], group.releases.count > Self.keptReleases * 2 else { return }
        var kept = Set(group.places.values.joined().compactMap { fleet[$0]?.wanted.assigned?.release })
        kept.insert(group.record.release)
        if let base = group.rollout?.record.base { kept.insert(base) }
        kept.formUnion(
            group.releases.values.filter { $0.verdict == .good }.map(\.number).sorted().suffix(Self.keptReleases))
        groups[name]?.releases = group.releases.filter { kept.contains($0.key) }
    }
}

extension Release {
    /// As the record in force asks it.
    package init(_ record: GroupRecord) {
        self.init(
            number: record.release, revision: record.revision, definition: record.definition,
            manifest: record.manifest, digest: record.digest)
    }

    /// Whether machines see no difference, whatever else the revisions say.
    func asksTheSame(as other: Release) -> Bool {
        let looksAtGroup = definition.environment.contains { $0.value.namesGroup }
        return digest == other.digest && definition.environment == other.definition.environment
            && definition.agent == other.definition.agent
            && (!looksAtGroup
                || definition.machines.count == other.definition.machines.count
                    && definition.machines.labels == other.definition.machines.labels
                    && definition.service == other.definition.service)
    }

    /// Whether a machine's software has to start anew to come from the one to the other.
    func restarts(comingFrom other: Release) -> Bool {
        var same = other
        same.definition.agent = definition.agent
        return !asksTheSame(as: same)
    }
}

extension Expression {
    /// Whether its value may be another because something changed in the record that is not its own.
    fileprivate var namesGroup: Bool {
        parts.contains { part in
            switch part {
            case .fact(let fact): !fact.isOfMachine && fact != .groupDigest
            case .aggregate, .label: true
            default: false
            }
        }
    }
}
