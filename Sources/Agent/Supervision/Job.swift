import Fleet

/// What one accepted order makes a machine run.
struct Job: Hashable, Sendable, Codable {
    /// The order's.
    var generation: Int
    /// Of the bundle.
    var digest: String
    var manifest: SoftwareManifest
    /// The manifest's, the group's and the secrets, merged; without what the agent adds.
    var environment: [String: String]
    /// Those of its variables that are secret; nil: none.
    var secrets: [String]?

    /// What a check, a probe or a hook finds: the secrets that the manifest names for it, and no other.
    func withholdingSecrets(but named: [String]?) -> Job {
        var copy = self
        for name in secrets ?? [] where !(named ?? []).contains(name) { copy.environment[name] = nil }
        return copy
    }

    /// Whether it would run just the same, whichever order asked for it.
    func runsTheSame(as other: Job) -> Bool {
        var copy = other
        copy.generation = generation
        return copy == self
    }
}

/// What is to run, and what to go back to: kept on disk, so that a machine without broker and manager knows.
struct Plan: Hashable, Sendable, Codable {
    var job: Job?
    /// What ran before and is started again when `job` does not become healthy.
    var fallback: Job?
    /// `job` has not been healthy yet.
    var onTrial = false
    /// The last order was to stop.
    var stopped = false
    /// How long `job` must be well without a break before it is found good; nil: its first passed check is enough.
    var settle: TimeSpan?
    /// Nil: it takes new work.
    var drain: Drain?
    /// Why it is not what the last order asked for.
    var reason: String?

    enum Drain: String, Codable, Sendable {
        /// It is to take no new work.
        case on
        /// It is to take it again, and nobody knows yet that it does.
        case takenBack
    }

    /// Whether it is just this that runs or is tried: nothing is to be done for it.
    func runs(_ job: Job) -> Bool { wanted == job }

    /// Software that runs, of which nothing else is known any more: whether it was drained neither.
    static func unknown(_ job: Job) -> Plan { Plan(job: job, drain: job.manifest.undrain.map { _ in .takenBack }) }

    /// Nil where nothing is to run.
    var wanted: Job? { stopped ? nil : job }
}
