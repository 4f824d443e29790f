import Fleet
import Foundation
import GroupLanguage
import Monitor
import Records
import Sealing

extension Control {
    func createGroup(_ source: RecordSource, by caller: Caller) async throws -> GroupView {
        try transact { control, burst in
            let checked = try control.check(source)
            let name = checked.definition.name
            guard try control.records.group(name) == nil else {
                throw Refusal(
                    code: .conflict,
                    message:
                        "There is a group \(name); change it with PUT /v1/groups/\(name) or: trunkline group apply FILE"
                )
            }
            guard control.monitor.machines(of: name).isEmpty else {
                throw Refusal(
                    code: .conflict,
                    message: "The machines of a former group \(name) are still being released; try again in a moment.")
            }
            let key = SecurityKey()
            let record = GroupRecord(
                definition: checked.definition, revision: 1, digest: checked.software.digest,
                manifest: checked.software.manifest)
            burst.changes.append(
                .saveGroup(
                    GroupRow(
                        name: name, text: checked.text, revision: 1, digest: record.digest, manifest: record.manifest,
                        keyPublic: key.publicKey.rawRepresentation, keySealed: try control.vault.seal(key, of: name),
                        created: burst.now, changed: burst.now, changedBy: caller.name)))
            burst.changes.append(
                .revision(
                    RevisionRow(
                        group: name, revision: 1, text: checked.text, digest: record.digest, by: caller.name,
                        at: burst.now)))
            burst.note(.groupCreated, by: caller, group: name, "Group \(name) created")
            control.advance(.group(record, .created), in: &burst)
            return name
        }.view(in: self)
    }

    func groups(after: String?, limit: Int) async throws -> Page<GroupView> {
        let rows = try records.groups(after: after, limit: limit + 1)
        return page(rows, limit: limit, cursor: \.name, view: view)
    }

    func group(_ name: String) async throws -> GroupView { view(try row(name)) }

    func recordJSON(_ name: String) async throws -> String {
        GroupLanguage.json(of: try GroupRecord(row: try row(name)).definition)
    }

    func revisions(_ name: String) async throws -> Page<RevisionView> {
        _ = try row(name)
        return Page(
            items: try records.revisions(of: name).map {
                RevisionView(revision: $0.revision, text: $0.text, by: $0.by, at: $0.at)
            })
    }

    func changeGroup(_ name: String, to source: RecordSource, ifRevision: Int?, by caller: Caller) async throws
        -> (group: GroupView, plan: PlanView)
    {
        let plan = try transact { control, burst in
            let row = try control.row(name, ifRevision: ifRevision)
            let checked = try control.check(source)
            guard checked.definition.name == name else {
                throw Refusal(
                    code: .conflict,
                    message: "The record is of group \(checked.definition.name), not \(name); a group keeps its name.")
            }
            let plan = control.monitor.plan(
                checked.definition, digest: checked.software.digest, manifest: checked.software.manifest)
            guard checked.text != row.text || checked.software.digest != row.digest else { return plan }
            try control.revise(
                row, to: checked, by: caller.name, note: "Group \(name) changed", address: caller.address, in: &burst)
            return plan
        }
        return (try view(row(name)), plan)
    }

    func plan(_ source: RecordSource) async throws -> PlanView {
        drain()
        let checked = try check(source)
        return monitor.plan(checked.definition, digest: checked.software.digest, manifest: checked.software.manifest)
    }

    func instruct(_ name: String, _ instruction: GroupInstruction, ifRevision: Int?, by caller: Caller) async throws
        -> GroupView
    {
        if instruction == .rollback {
            _ = try transact { control, _ in try control.row(name, ifRevision: ifRevision) }
            try rollBack(name, by: caller.name)
            return try view(row(name))
        }
        try transact { control, burst in
            let row = try control.row(name, ifRevision: ifRevision)
            guard var record = control.monitor.group(name) else {
                throw Refusal(code: .notFound, message: "There is no group \(name).")
            }
            switch instruction {
            case .start:
                try control.requireSecrets(of: record.definition)
                record.run = .running
                burst.note(.groupStarted, by: caller, group: name, "Group \(name) started")
            case .stop:
                record.run = .stopped
                burst.note(.groupStopped, by: caller, group: name, "Group \(name) stopped")
            case .restart:
                guard record.run == .running else {
                    throw Refusal(
                        code: .conflict,
                        message: "Group \(name) does not run; start it with: trunkline group start \(name)")
                }
                burst.note(.groupRestarted, by: caller, group: name, "Group \(name) restarted")
                control.advance(.restartGroup(name), in: &burst)
                return
            case .pause:
                record.paused = true
                burst.note(.groupPaused, by: caller, group: name, "Group \(name) paused: no rule acts")
            case .resume:
                record.paused = false
                burst.note(.groupResumed, by: caller, group: name, "Group \(name) resumed")
            case .rollback: return
            }
            _ = row
            burst.changes.append(.groupState(record))
            let change: Monitor.Event.Change =
                switch instruction {
                case .start: .started
                case .stop: .stopped
                case .pause: .paused
                default: .resumed
                }
            control.advance(.group(record, change), in: &burst)
        }
        return try view(row(name))
    }

    func removeGroup(_ name: String, force: Bool, ifRevision: Int?, by caller: Caller) async throws {
        try transact { control, burst in
            _ = try control.row(name, ifRevision: ifRevision)
            let running = control.monitor.group(name)?.run == .running
            guard force || (!running && control.monitor.machines(of: name).allSatisfy { $0.platform == .none }) else {
                throw Refusal(
                    code: .conflict,
                    message: running
                        ? "Group \(name) runs; stop it first, or remove it all the same with force=true."
                        : "Group \(name) is still stopping; wait until its machines are released, or use force=true.")
            }
            control.advance(.groupDeleted(name), in: &burst)
            burst.changes.append(.removeGroup(name))
            burst.note(.groupDeleted, by: caller, group: name, "Group \(name) deleted")
        }
    }

    func invite(to group: String, _ request: InvitationRequest, by caller: Caller) async throws -> BootTicket {
        guard (1...MachineSet.most).contains(request.uses) else {
            throw Refusal(code: .malformed, message: "uses must be 1 to \(MachineSet.most).")
        }
        guard request.ttl >= .seconds(1), request.ttl <= .hours(24 * 30) else {
            throw Refusal(code: .malformed, message: "ttl must be 1s to 30d.")
        }
        return try transact { control, burst in
            let row = try control.row(group)
            let record = try GroupRecord(row: row)
            guard record.definition.machines.platform == .none else {
                throw Refusal(
                    code: .conflict,
                    message:
                        "Group \(group) gets its machines from the platform \(record.definition.machines.platform); invitations are for groups with platform = none."
                )
            }
            let ticket = try control.makeTicket(
                group: group, machine: nil, uses: request.uses, life: request.ttl, in: &burst)
            burst.note(
                .invitationMade, by: caller, group: group,
                "Invitation for \(request.uses) machines until \(ticket.expires)",
                facts: ["ticket": ticket.ticket])
            return ticket
        }
    }
}

/// What the calls above share.
extension Control {
    struct CheckedRecord {
        var definition: GroupDefinition
        /// Canonical, with default rules written in.
        var text: String
        var software: SoftwareRow
    }

    func check(_ source: RecordSource) throws -> CheckedRecord {
        let text: String
        switch source {
        case .text(let given):
            do { text = try GroupLanguage.completed(given) } catch { throw Refusal(error, in: "record", source: given) }
        case .json(let given):
            do { text = GroupLanguage.text(of: try GroupLanguage.group(fromJSON: given)) } catch {
                throw Refusal(error, in: "record", source: given)
            }
        }
        let definition: GroupDefinition
        do { definition = try GroupLanguage.group(from: text) } catch {
            throw Refusal(error, in: "record", source: text)
        }
        guard let software = try records.software(definition.software) else {
            throw Refusal(
                code: .invalid,
                message:
                    "The software \(definition.software) is not here; push it first with: trunkline software push DIR")
        }
        guard software.manifest.service == definition.service else {
            throw Refusal(
                code: .invalid,
                message:
                    "\(definition.software) provides \(software.manifest.service), but the group's service is \(definition.service)."
            )
        }
        return CheckedRecord(definition: definition, text: text, software: software)
    }

    func row(_ name: String, ifRevision: Int? = nil) throws -> GroupRow {
        guard let row = try records.group(name) else {
            throw Refusal(
                code: .notFound, message: "There is no group \(name); trunkline group list shows those that there are.")
        }
        if let ifRevision, row.revision != ifRevision {
            throw Refusal(
                code: .stale,
                message:
                    "Group \(name) is at revision \(row.revision), not \(ifRevision); read it again and repeat the change."
            )
        }
        return row
    }

    func view(_ row: GroupRow) -> GroupView {
        let record = monitor.group(row.name)
        let definition = record?.definition
        return GroupView(
            name: row.name, revision: row.revision, state: record?.run ?? row.run, service: definition?.service ?? "",
            software: definition?.software.description ?? "", digest: row.digest, text: row.text,
            status: monitor.groupStatus(row.name)
                ?? GroupStatusView(phase: .defined, desired: 0, present: 0, verified: 0, failed: 0, away: 0),
            changed: row.changed, by: row.changedBy)
    }

    private func requireSecrets(of definition: GroupDefinition) throws {
        let wanted = definition.environment.flatMap { $0.value.secrets }
        let missing = try wanted.filter { try records.secret($0) == nil }
        guard missing.isEmpty else {
            throw Refusal(
                code: .conflict,
                message:
                    "Secrets that the record names are not set: \(missing.joined(separator: ", ")). Set each with: trunkline secret set NAME"
            )
        }
    }

    private func revise(
        _ row: GroupRow, to checked: CheckedRecord, by: String, note: String, address: String? = nil,
        in burst: inout Burst
    ) throws {
        guard var record = monitor.group(row.name) else {
            throw Refusal(code: .notFound, message: "There is no group \(row.name).")
        }
        if record.run == .running { try requireSecrets(of: checked.definition) }
        let before = record.definition
        record.definition = checked.definition
        record.revision = row.revision + 1
        record.digest = checked.software.digest
        record.manifest = checked.software.manifest
        var changed = row
        changed.text = checked.text
        changed.revision = record.revision
        changed.digest = record.digest
        changed.manifest = record.manifest
        changed.run = record.run
        changed.paused = record.paused
        changed.nextSerial = record.nextSerial
        changed.changed = burst.now
        changed.changedBy = by
        burst.changes.append(.saveGroup(changed))
        burst.changes.append(
            .revision(
                RevisionRow(
                    group: row.name, revision: record.revision, text: checked.text, digest: record.digest, by: by,
                    at: burst.now)))
        var facts = [
            "revision": "\(record.revision)", "software": "\(before.software) → \(checked.definition.software)",
            "service": "\(before.service) → \(checked.definition.service)",
            "count": "\(before.machines.count) → \(checked.definition.machines.count)",
        ]
        facts["address"] = address
        burst.changes.append(
            .event(
                EventEntry(
                    at: burst.now, group: row.name, kind: .groupChanged,
                    actor: by.hasPrefix("rule ") ? by : "user \(by)",
                    message: "\(note): revision \(record.revision)", facts: facts)))
        advance(.group(record, .revised), in: &burst)
    }

    /// A rule's scale: the record itself changes, so that what happens is what the record says.
    func scale(_ name: String, to count: Int, by rule: String) throws {
        try transact { control, burst in
            let row = try control.row(name)
            let text: String
            do throws(Diagnostics) { text = try GroupLanguage.setting(count: count, in: row.text) } catch {
                throw Refusal(error, in: "record", source: row.text)
            }
            try control.revise(
                row, to: control.check(.text(text)), by: "rule \(rule)", note: "Group \(name) scaled to \(count)",
                in: &burst)
        }
    }

    /// A new revision with what the revision before the current one said.
    func rollBack(_ name: String, by: String) throws {
        try transact { control, burst in
            let row = try control.row(name)
            let revisions = try control.records.revisions(of: name)
            guard let previous = revisions.last(where: { $0.revision < row.revision && $0.text != row.text }) else {
                throw Refusal(code: .conflict, message: "Group \(name) has no earlier revision that differs.")
            }
            try control.revise(
                row, to: control.check(.text(previous.text)), by: by,
                note: "Group \(name) rolled back to what revision \(previous.revision) said", in: &burst)
        }
    }
}

extension String {
    fileprivate func view(in control: isolated Control) throws -> GroupView { control.view(try control.row(self)) }
}

extension Fleet.Expression {
    /// The names of the secrets in it.
    fileprivate var secrets: [String] {
        switch self {
        case .secret(let name): [name]
        case .unary(_, let operand), .aggregate(_, let operand): operand.secrets
        case .binary(_, let left, let right): left.secrets + right.secrets
        case .value, .fact, .metric: []
        }
    }
}

extension GroupRecord {
    /// A stored record is text in the language; it was checked when it was sent.
    init(row: GroupRow) throws {
        do {
            self.init(
                definition: try GroupLanguage.group(from: row.text), revision: row.revision, digest: row.digest,
                manifest: row.manifest, run: row.run, paused: row.paused, nextSerial: row.nextSerial)
        } catch {
            throw StartError(
                "the record of group \(row.name) can't be read any more:\n\(error.rendered(file: row.name, source: row.text))"
            )
        }
    }
}
