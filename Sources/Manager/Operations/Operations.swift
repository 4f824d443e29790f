import Fleet

/// What the REST API can ask of the manager; the routes know nothing else of it.
///
/// Every call that changes something returns after the change is committed to SQLite.
protocol Operations: Sendable {
    // Software
    /// Takes over the file at `path` (in the upload directory, complete, SHA-256 already computed over its bytes).
    /// `created` is false where the same bytes were there before.
    func pushSoftware(_ reference: SoftwareReference, bundleAt path: String, digest: String, size: Int, by: Caller)
        async throws -> (software: SoftwareView, created: Bool)
    func software(after: String?, limit: Int) async throws -> Page<SoftwareView>
    func software(_ reference: SoftwareReference) async throws -> SoftwareView
    func removeSoftware(_ reference: SoftwareReference, by: Caller) async throws

    // Groups
    func createGroup(_ record: RecordSource, by: Caller) async throws -> GroupView
    /// Those that the pattern matches; nil: all.
    func groups(after: String?, limit: Int, within: GroupPattern?) async throws -> Page<GroupView>
    func group(_ name: String) async throws -> GroupView
    /// The record's JSON form (same content as the text), as a JSON document.
    func recordJSON(_ name: String) async throws -> String
    func revisions(_ name: String) async throws -> Page<RevisionView>
    /// With its text.
    func revision(_ revision: Int, of name: String) async throws -> RevisionView
    func recordJSON(_ revision: Int, of name: String) async throws -> String
    /// `to`: nil: the revision in force; `from`: nil: the one before it.
    func difference(of name: String, from: Int?, to: Int?) async throws -> DifferenceView
    /// What the language says of a text.
    func check(_ record: RecordSource) async throws -> CheckView
    /// What `rollBack` to that revision would change.
    func planRollback(_ name: String, to revision: Int) async throws -> PlanView
    func rollBack(_ name: String, _ request: RollbackRequest, ifRevision: Int?, by: Caller) async throws -> GroupView
    /// `ifRevision`: from `If-Match`; refused with `.stale` if the record is at another. Returns the group and what will change.
    func changeGroup(
        _ name: String, to record: RecordSource, reason: String?, plan: String?, ifRevision: Int?, by: Caller
    ) async throws -> (group: GroupView, plan: PlanView)
    func plan(_ record: RecordSource, by: Caller) async throws -> PlanView
    /// `release`: with `stop`, give launched machines back to their platform, and their data with them.
    func instruct(
        _ name: String, _ instruction: GroupInstruction, release: Bool, ifRevision: Int?, by: Caller
    ) async throws
        -> GroupView
    /// `forget`: give up machines that nobody can hear and whose platform is gone for good.
    func removeGroup(_ name: String, force: Bool, forget: Bool, ifRevision: Int?, by: Caller) async throws
    func invite(to group: String, _ request: InvitationRequest, by: Caller) async throws -> BootTicket

    /// What the group waits for, and what comes next.
    func explain(group: String) async throws -> GroupExplanationView

    // Rollouts
    func rollout(_ name: String) async throws -> RolloutView
    func rollouts(_ name: String) async throws -> [RolloutView]
    func instruct(rolloutOf name: String, _ instruction: RolloutInstruction, because: String?, by: Caller) async throws
        -> RolloutView

    // Machines
    func machines(_ filter: MachineFilter, after: String?, limit: Int) async throws -> Page<MachineView>
    func machine(_ id: String) async throws -> MachineView
    func instruct(machine id: String, _ instruction: MachineInstruction, by: Caller) async throws -> MachineView
    /// `ago`: as it was so long ago.
    func explain(_ machine: String, ago: TimeSpan?) async throws -> ExplanationView
    func replay(_ record: RecordSource, over: TimeSpan, by: Caller) async throws -> ReplayView
    /// The last lines of the machine's log, then what is new for as long as the stream is read; `.notFound` for an unknown machine.
    func log(ofMachine id: String, tail: Int) async throws -> AsyncStream<LogRelay.Item>
    /// The last lines only.
    func lastLines(ofMachine id: String, tail: Int) async throws -> [LogLine]

    // Secrets: names only, values never come out
    func setSecret(_ name: String, to value: String, by: Caller) async throws
    func secrets() async throws -> [String]
    func removeSecret(_ name: String, by: Caller) async throws

    // Access
    func tokens() async throws -> [TokenView]
    /// The only call that ever answers with a token's value.
    func createToken(_ request: TokenRequest, by: Caller) async throws -> MadeToken
    func revokeToken(_ name: String, by: Caller) async throws
    /// Seals everything that is kept anew under a new master key.
    func rotateMasterKey(by: Caller) async throws -> KeyRotationView
    /// - Parameter finish: ends a change that was begun; `force`: also where machines have no new certificate yet.
    func rotateAuthority(finish: Bool, force: Bool, by: Caller) async throws -> AuthorityRotationView
    /// - Parameter force: also where machines or tickets know only the key before, which is given up.
    func rotateGroupKey(_ group: String, force: Bool, by: Caller) async throws -> GroupKeyRotationView
    func debugCertificate(_ request: DebugCertificateRequest, by: Caller) async throws -> DebugCertificateView
    func audit(after: Int64, limit: Int) async throws -> Page<AuditEntry>
    func verifyAudit() async throws -> AuditVerdict

    // History
    func events(_ filter: EventFilter, after: Int64, limit: Int) async throws -> Page<EventEntry>
    /// The newest of them, in order.
    func lastEvents(_ filter: EventFilter, after: Int64, count: Int) async throws -> [EventEntry]
    /// Every event after `after`, those of the past first, then live ones as they are committed, without a gap or a repetition, in order of id.
    func eventStream(_ filter: EventFilter, after: Int64) -> AsyncThrowingStream<EventEntry, any Error>

    /// The live view: a picture of what there is, then what changes, as it is committed.
    func watch(_ request: WatchRequest) async throws -> AsyncThrowingStream<WatchBatch, any Error>

    // Operation
    /// Nil: ready. Else what is missing, for people.
    func notReady() async -> String?
    /// Of groups only those that the pattern matches.
    func status(within: GroupPattern?) async throws -> StatusView
    /// The id of the last event that is older than this; 0: there is none.
    func lastEvent(before ago: TimeSpan) async throws -> Int64
    /// Prometheus text format; of groups only those that the pattern matches.
    func metricsText(within: GroupPattern?) async -> String
    /// Who a bearer token belongs to, and that it is used.
    func authenticate(token: String, address: String) async throws -> Authentication
    /// Where a first answer under this key and caller is kept: see `IdempotentAnswer`.
    func answer(forKey key: String, by: Caller) async throws -> IdempotentAnswer?
    func keep(_ answer: IdempotentAnswer, forKey key: String, by: Caller) async throws
}

/// Who calls: a token's name, where from, and what it may do.
struct Caller: Hashable, Sendable {
    var name: String
    var address: String
    var role = Role.viewer
    /// Nil: all groups.
    var groups: GroupPattern?
}

/// What became of a bearer token.
enum Authentication: Hashable, Sendable {
    case caller(Caller)
    case unknown
    case expired(Timestamp)
    case revoked(Timestamp)
}

enum RecordSource: Hashable, Sendable {
    case text(String)
    /// A JSON document with the record's JSON form.
    case json(String)
}

enum GroupInstruction: String, Sendable, CaseIterable {
    case start, stop, restart, pause, resume
}

enum RolloutInstruction: String, Sendable, CaseIterable {
    case promote, pause, resume, abort
}

enum MachineInstruction: String, Sendable, CaseIterable {
    case replace, revoke, restart, drain, undrain
}

/// What a request under an `Idempotency-Key` was answered with; `request` is a digest of method, path and body, so that a key used for another request is refused.
struct IdempotentAnswer: Hashable, Sendable {
    var request: String
    /// `RequestMark.status`: it was carried out, and that is all that is known.
    var status: Int
    var headers: [String: String]
    var body: String

    var isMark: Bool { status == RequestMark.status }
}

/// The keyed request that is being carried out in this task. What it changes is committed together with this mark, so that it is not
/// carried out again where the manager is killed before its answer is kept.
struct RequestMark: Hashable, Sendable {
    @TaskLocal static var current: RequestMark?
    /// Not one of HTTP.
    static let status = 0

    var key: String
    var caller: String
    var request: String
}

/// Why the manager does not do what it was asked; the REST API maps the code to an HTTP status in one place.
struct Refusal: Error, Hashable, Sendable {
    enum Code: Hashable, Sendable {
        /// 400
        case malformed
        /// 403
        case forbidden
        /// 404
        case notFound
        /// 409
        case conflict
        /// 412
        case stale
        /// 413
        case tooLarge
        /// 422, with the checker's findings
        case invalid
        /// 503
        case unavailable
        /// 507
        case full
    }
    var code: Code
    /// One sentence that says what to do.
    var message: String
    var diagnostics: [DiagnosticView] = []
    /// The diagnostics as a compiler prints them.
    var text: String?
}
