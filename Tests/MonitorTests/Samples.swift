import Fleet
import Monitor

/// The beginning of every test's time.
let start = Timestamp(milliseconds: 1_795_000_000_000)

/// Records that the tests vary.
enum Samples {
    static let first = digest("a")
    static let second = digest("b")

    static func digest(_ letter: Character) -> String { String(repeating: letter, count: 64) }

    /// Its version is named after the digest, so that events are worth reading.
    static func manifest(_ digest: String) -> SoftwareManifest {
        SoftwareManifest(
            name: "kamailio", version: "1.\(digest.prefix(1))", service: "voice", run: ["./start.sh"],
            health: SoftwareManifest.HealthCheck(exec: ["./healthy.sh"]))
    }

    static func group(
        _ name: String = "edge", count: Int = 3, minimum: Int? = nil, maximum: Int? = nil, platform: Platform = .local,
        digest: String = first, run: GroupRecord.Run = .defined, rules: [Rule] = Rule.defaults,
        environment: [EnvironmentEntry] = [], rollout: RolloutPolicy = atOnce
    ) -> GroupRecord {
        let manifest = manifest(digest)
        return GroupRecord(
            definition: GroupDefinition(
                name: name, service: "voice", software: manifest.reference,
                machines: MachineSet(count: count, minimum: minimum, maximum: maximum, platform: platform),
                environment: environment, rollout: rollout, rules: rules),
            revision: 1, digest: digest, manifest: manifest, run: run)
    }

    /// Waves are what the tests of rollouts are about.
    static let atOnce = RolloutPolicy(batch: .percent(100))

    static let facts = MachineFacts(host: "den", os: "Debian 12", arch: "x86_64", cores: 2, memory: 1 << 30)

    static let deliver = Rule.defaults[0]
    static let restartFailing = Rule.defaults[1]
    static let replaceLost = Rule.defaults[2]
    static let isFailing = Expression.binary(.equal, .fact(.softwareHealth), .value(.word("failing")))
    static let isLoaded = Expression.binary(
        .greater, .aggregate(.average, .metric("calls")), .value(.number(80)))
}

extension GroupRecord {
    /// Its next revision with other software.
    func asking(for digest: String) -> GroupRecord {
        var record = self
        record.revision += 1
        record.digest = digest
        record.manifest = Samples.manifest(digest)
        record.definition.software = record.manifest.reference
        return record
    }

    func changed(_ body: (inout GroupRecord) -> Void) -> GroupRecord {
        var record = self
        record.revision += 1
        body(&record)
        return record
    }
}

extension [Monitor.Effect] {
    var launches: [String] { compactMap { if case .launch(let id, _, _, _) = $0 { id } else { nil } } }
    var releases: [String] { compactMap { if case .release(let id, _, _) = $0 { id } else { nil } } }
    var removals: [String] { compactMap { if case .removeMachine(let id, _) = $0 { id } else { nil } } }
    var orders: [String] { compactMap { if case .sendOrder(let id, _) = $0 { id } else { nil } } }
    var events: [EventEntry] { compactMap { if case .record(let entry) = $0 { entry } else { nil } } }
    var kinds: [EventEntry.Kind] { events.map(\.kind) }
    var scales: [Int] { compactMap { if case .scale(_, let count, _) = $0 { count } else { nil } } }

    var rollbacks: [Int] { compactMap { if case .goBack(_, let revision, _, _) = $0 { revision } else { nil } } }

    func events(_ kind: EventEntry.Kind) -> [EventEntry] { events.filter { $0.kind == kind } }
}
