import Fleet
import Foundation

/// What a token that is for some groups only sees of the manager: every call is checked here, so that no route can forget it.
///
/// Groups outside the pattern are refused by their name, whether they exist or not; machines of such groups are not there.
struct GroupScope: Operations {
    let base: any Operations
    let pattern: GroupPattern

    private func require(_ group: String) throws {
        try Caller(name: "", address: "", groups: pattern).require(group: group)
    }

    private func requireOwn(_ machine: String) async throws {
        let found = try await base.machine(machine)
        guard pattern.matches(found.group) else {
            throw Refusal(
                code: .notFound,
                message: "There is no machine \(machine); trunkline machine list shows those that there are.")
        }
    }

    private func refuse(_ what: String) -> Refusal {
        Refusal(
            code: .forbidden,
            message:
                "This token is for groups \(pattern) only; \(what) concerns all groups and needs a token without a pattern."
        )
    }

    // MARK: Software: anybody's to read and to add, since it belongs to no group

    func pushSoftware(
        _ reference: SoftwareReference, bundleAt path: String, digest: String, size: Int, by caller: Caller
    ) async throws -> (software: SoftwareView, created: Bool) {
        guard reference.name != SoftwareManifest.agentName else { throw refuse("pushing an agent") }
        return try await base.pushSoftware(reference, bundleAt: path, digest: digest, size: size, by: caller)
    }
    func software(after: String?, limit: Int) async throws -> Page<SoftwareView> {
        try await base.software(after: after, limit: limit)
    }
    func software(_ reference: SoftwareReference) async throws -> SoftwareView { try await base.software(reference) }
    func removeSoftware(_ reference: SoftwareReference, by: Caller) async throws {
        throw refuse("removing software")
    }

    // MARK: Groups

    func createGroup(_ record: RecordSource, by caller: Caller) async throws -> GroupView {
        // Which group it is, and which secrets it names, is known when it has been checked.
        try await base.createGroup(record, by: scoped(caller))
    }
    func groups(after: String?, limit: Int, within: GroupPattern?) async throws -> Page<GroupView> {
        try await base.groups(after: after, limit: limit, within: pattern)
    }
    func group(_ name: String) async throws -> GroupView {
        try require(name)
        return try await base.group(name)
    }
    func recordJSON(_ name: String) async throws -> String {
        try require(name)
        return try await base.recordJSON(name)
    }
    func revisions(_ name: String) async throws -> Page<RevisionView> {
        try require(name)
        return try await base.revisions(name)
    }
    func revision(_ revision: Int, of name: String) async throws -> RevisionView {
        try require(name)
        return try await base.revision(revision, of: name)
    }
    func recordJSON(_ revision: Int, of name: String) async throws -> String {
        try require(name)
        return try await base.recordJSON(revision, of: name)
    }
    func difference(of name: String, from: Int?, to: Int?) async throws -> DifferenceView {
        try require(name)
        return try await base.difference(of: name, from: from, to: to)
    }
    /// It looks at nothing but the text.
    func check(_ record: RecordSource) async throws -> CheckView { try await base.check(record) }
    func planRollback(_ name: String, to revision: Int) async throws -> PlanView {
        try require(name)
        return try await base.planRollback(name, to: revision)
    }
    func rollBack(
        _ name: String, _ request: RollbackRequest, ifRevision: Int?, by caller: Caller
    ) async throws -> GroupView {
        try require(name)
        return try await base.rollBack(name, request, ifRevision: ifRevision, by: scoped(caller))
    }
    func changeGroup(
        _ name: String, to record: RecordSource, reason: String?, plan: String?, ifRevision: Int?, by caller: Caller
    ) async throws -> (group: GroupView, plan: PlanView) {
        try require(name)
        return try await base.changeGroup(
            name, to: record, reason: reason, plan: plan, ifRevision: ifRevision, by: scoped(caller))
    }
    func plan(_ record: RecordSource, by caller: Caller) async throws -> PlanView {
        try await base.plan(record, by: scoped(caller))
    }
    func instruct(
        _ name: String, _ instruction: GroupInstruction, release: Bool, ifRevision: Int?, by caller: Caller
    ) async throws -> GroupView {
        try require(name)
        return try await base.instruct(name, instruction, release: release, ifRevision: ifRevision, by: caller)
    }
    func explain(group name: String) async throws -> GroupExplanationView {
        try require(name)
        return try await base.explain(group: name)
    }
    func rollout(_ name: String) async throws -> RolloutView {
        try require(name)
        return try await base.rollout(name)
    }
    func rollouts(_ name: String) async throws -> [RolloutView] {
        try require(name)
        return try await base.rollouts(name)
    }
    func instruct(
        rolloutOf name: String, _ instruction: RolloutInstruction, because why: String?, by caller: Caller
    ) async throws -> RolloutView {
        try require(name)
        return try await base.instruct(rolloutOf: name, instruction, because: why, by: caller)
    }
    func removeGroup(_ name: String, force: Bool, forget: Bool, ifRevision: Int?, by caller: Caller) async throws {
        try require(name)
        try await base.removeGroup(name, force: force, forget: forget, ifRevision: ifRevision, by: caller)
    }
    func invite(to group: String, _ request: InvitationRequest, by caller: Caller) async throws -> BootTicket {
        try require(group)
        return try await base.invite(to: group, request, by: caller)
    }

    func rotateGroupKey(_ group: String, force: Bool, by caller: Caller) async throws -> GroupKeyRotationView {
        try require(group)
        return try await base.rotateGroupKey(group, force: force, by: caller)
    }

    func status(within: GroupPattern?) async throws -> StatusView { try await base.status(within: pattern) }
    /// A number that says nothing of whose event it is.
    func lastEvent(before ago: TimeSpan) async throws -> Int64 { try await base.lastEvent(before: ago) }

    private func scoped(_ caller: Caller) -> Caller {
        var caller = caller
        caller.groups = pattern
        return caller
    }

    // MARK: Machines

    func machines(_ filter: MachineFilter, after: String?, limit: Int) async throws -> Page<MachineView> {
        if let group = filter.group { try require(group) }
        var filter = filter
        filter.within = pattern
        return try await base.machines(filter, after: after, limit: limit)
    }
    func machine(_ id: String) async throws -> MachineView {
        try await requireOwn(id)
        return try await base.machine(id)
    }
    func instruct(machine id: String, _ instruction: MachineInstruction, by caller: Caller) async throws -> MachineView
    {
        try await requireOwn(id)
        return try await base.instruct(machine: id, instruction, by: caller)
    }
    func explain(_ machine: String, ago: TimeSpan?) async throws -> ExplanationView {
        try await requireOwn(machine)
        return try await base.explain(machine, ago: ago)
    }
    func replay(_ record: RecordSource, over span: TimeSpan, by caller: Caller) async throws -> ReplayView {
        try await base.replay(record, over: span, by: scoped(caller))
    }
    func log(ofMachine id: String, tail: Int) async throws -> AsyncStream<LogRelay.Item> {
        try await requireOwn(id)
        return try await base.log(ofMachine: id, tail: tail)
    }
    func lastLines(ofMachine id: String, tail: Int) async throws -> [LogLine] {
        try await requireOwn(id)
        return try await base.lastLines(ofMachine: id, tail: tail)
    }

    // MARK: What belongs to no group

    func setSecret(_ name: String, to value: String, by: Caller) async throws { throw refuse("setting secrets") }
    /// Those that its records may name.
    func secrets() async throws -> [String] { try await base.secrets().filter(pattern.matches) }
    func removeSecret(_ name: String, by: Caller) async throws { throw refuse("removing secrets") }
    func tokens() async throws -> [TokenView] { throw refuse("the list of tokens") }
    func createToken(_ request: TokenRequest, by: Caller) async throws -> MadeToken { throw refuse("making tokens") }
    func revokeToken(_ name: String, by: Caller) async throws { throw refuse("revoking tokens") }
    func rotateMasterKey(by: Caller) async throws -> KeyRotationView { throw refuse("the master key") }
    func rotateAuthority(finish: Bool, force: Bool, by: Caller) async throws -> AuthorityRotationView {
        throw refuse("the certificate authority")
    }
    func debugCertificate(_ request: DebugCertificateRequest, by: Caller) async throws -> DebugCertificateView {
        throw refuse("what is said on the broker")
    }
    func audit(after: Int64, limit: Int) async throws -> Page<AuditEntry> { throw refuse("the audit log") }
    func verifyAudit() async throws -> AuditVerdict { throw refuse("the audit log") }

    // MARK: History and operation

    func events(_ filter: EventFilter, after: Int64, limit: Int) async throws -> Page<EventEntry> {
        if let group = filter.group { try require(group) }
        return try await base.events(scoped(filter), after: after, limit: limit)
    }
    func lastEvents(_ filter: EventFilter, after: Int64, count: Int) async throws -> [EventEntry] {
        if let group = filter.group { try require(group) }
        return try await base.lastEvents(scoped(filter), after: after, count: count)
    }
    func eventStream(_ filter: EventFilter, after: Int64) -> AsyncThrowingStream<EventEntry, any Error> {
        do { if let group = filter.group { try require(group) } } catch {
            return AsyncThrowingStream { $0.finish(throwing: error) }
        }
        return base.eventStream(scoped(filter), after: after)
    }
    func watch(_ request: WatchRequest) async throws -> AsyncThrowingStream<WatchBatch, any Error> {
        if let group = request.group { try require(group) }
        var request = request
        request.within = pattern
        return try await base.watch(request)
    }
    private func scoped(_ filter: EventFilter) -> EventFilter {
        var filter = filter
        filter.within = pattern
        return filter
    }

    func notReady() async -> String? { await base.notReady() }
    func metricsText(within: GroupPattern?) async -> String { await base.metricsText(within: pattern) }
    func authenticate(token: String, address: String) async throws -> Authentication {
        try await base.authenticate(token: token, address: address)
    }
    func answer(forKey key: String, by caller: Caller) async throws -> IdempotentAnswer? {
        try await base.answer(forKey: key, by: caller)
    }
    func keep(_ answer: IdempotentAnswer, forKey key: String, by caller: Caller) async throws {
        try await base.keep(answer, forKey: key, by: caller)
    }
}

extension Caller {
    func require(group: String) throws {
        guard let groups, !groups.matches(group) else { return }
        throw Refusal(
            code: .forbidden,
            message: "This token is for groups \(groups); \(group) is not one. Use a token for that group or for all.")
    }

    /// A record that may name any secret could hand the secrets of all groups to machines of this one.
    func requireSecrets(of definition: GroupDefinition, beside before: GroupDefinition?) throws {
        guard let groups else { return }
        let known = Set(before?.environment.flatMap(\.value.secrets) ?? [])
        let foreign = definition.environment.flatMap(\.value.secrets).filter {
            !groups.matches($0) && !known.contains($0)
        }
        guard let first = foreign.first else { return }
        throw Refusal(
            code: .forbidden,
            message:
                "This token is for groups \(groups), so its records may name secrets whose names match that too, and those that the record names already; \(first) is neither. Ask an administrator to write it in."
        )
    }
}
