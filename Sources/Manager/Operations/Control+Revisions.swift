import Crypto
import Fleet
import Foresight
import Foundation
import GroupLanguage
import Monitor
import OperatingSystem
import Records

/// Records as they are checked, revised, and read again.
extension Control {
    struct CheckedRecord: Sendable {
        var definition: GroupDefinition
        /// Canonical, with default rules written in.
        var text: String
        var software: SoftwareRow
    }

    /// What somebody sends, or what was accepted once and comes into force again: that it says nothing impossible, and that machines can
    /// carry it out.
    nonisolated func check(_ source: RecordSource, as reading: RecordReading = .sent) throws -> CheckedRecord {
        let text: String
        switch source {
        case .text(let given):
            do { text = try GroupLanguage.completed(given, as: reading) } catch {
                throw Refusal(error, in: "record", source: given)
            }
        case .json(let given):
            do { text = GroupLanguage.text(of: try GroupLanguage.group(fromJSON: given, as: reading)) } catch {
                throw Refusal(error, in: "record", source: given)
            }
        }
        let definition: GroupDefinition
        do { definition = try GroupLanguage.group(from: text, as: reading) } catch {
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
        if let agent = definition.agent {
            let reference = SoftwareReference(name: SoftwareManifest.agentName, version: agent)
            guard try records.software(reference) != nil else {
                throw Refusal(
                    code: .invalid,
                    message: "The agent \(agent) is not here; push it first with: trunkline agent push FILE")
            }
        }
        try requireZones(definition)
        try requireOrdersFit(definition, software: software, source: source)
        return CheckedRecord(definition: definition, text: text, software: software)
    }

    /// The same of what somebody sends, beside the control room: a hostile text takes seconds.
    ///
    /// - Parameter reading: nil: as a change if its group is there.
    nonisolated func checkBeside(
        _ source: RecordSource, as reading: RecordReading?, by caller: Caller
    ) async throws -> CheckedRecord {
        try await checkers.run { [self] in
            let checked = try check(source, as: reading ?? self.reading(of: source))
            try caller.require(group: checked.definition.name)
            return checked
        }
    }

    /// What a record that was checked beside would change, worked out beside as well.
    func planBeside(_ scaled: ScaledRecord, of row: GroupRow?) async throws -> PlanView {
        let (monitor, now) = (monitor, clock.now)
        return try await checkers.run {
            var plan = Self.plan(scaled, of: row, monitor)
            plan.id = Self.planID(scaled.checked, monitor)
            plan.course = Self.course(scaled.checked, monitor, at: now)
            return plan
        }
    }

    /// Without its id, and without how it would go through.
    nonisolated static func plan(_ scaled: ScaledRecord, of row: GroupRow?, _ monitor: Monitor) -> PlanView {
        let checked = scaled.checked
        var plan = monitor.plan(
            checked.definition, digest: checked.software.digest, manifest: checked.software.manifest)
        plan.notes = scaled.note.map { [$0] }
        if let row, let before = monitor.group(row.name)?.definition {
            plan.changes = changes(from: before, row, to: checked)
        }
        return plan
    }

    private nonisolated static func changes(
        from before: GroupDefinition, _ row: GroupRow, to checked: CheckedRecord
    ) -> [RecordChange] {
        var changes = GroupLanguage.changes(from: before, to: checked.definition)
        if row.digest != checked.software.digest, !changes.contains(where: { $0.name == "software" }) {
            changes.append(
                RecordChange(kind: .field, name: "digest", before: row.digest, after: checked.software.digest))
        } else if changes.isEmpty, row.text != checked.text {
            changes.append(RecordChange(kind: .field, name: "comments and form", before: nil, after: nil))
        }
        return changes
    }

    /// Refuses what was planned, and is carried out, while the group has moved on.
    func require(plan planned: String?, of checked: CheckedRecord) throws {
        guard let planned, planned != Self.planID(checked, monitor) else { return }
        throw Refusal(
            code: .stale,
            message:
                "Group \(checked.definition.name) has moved on since plan \(planned), or the record is another one; plan it again and apply that."
        )
    }

    /// Names what would be changed, and the group as it is; nil where there is no such group.
    nonisolated static func planID(_ checked: CheckedRecord, _ monitor: Monitor) -> String? {
        let name = checked.definition.name
        guard monitor.group(name) != nil else { return nil }
        let subject = "\(checked.text)\n\(checked.software.digest)\n\(monitor.version(of: name))"
        return SHA256.hash(data: Data(subject.utf8)).prefix(8).map { String(format: "%02x", $0) }.joined()
    }

    private nonisolated static func course(
        _ checked: CheckedRecord, _ monitor: Monitor, at now: Timestamp
    ) -> PlanView.Course? {
        guard var record = monitor.group(checked.definition.name), record.run == .running else { return nil }
        record.definition = checked.definition
        record.digest = checked.software.digest
        record.manifest = checked.software.manifest
        record.revision += 1
        let course = Foresight.course(of: record, .revised, in: monitor, at: now)
        return PlanView.Course(
            waves: course.waves.map { .init(canary: $0.isCanary, machines: $0.machines, count: $0.count) },
            drains: Array(course.steps.filter { $0.what == .drain }.map(\.machine).prefix(RolloutRecord.listed)),
            takes: course.takes, promotion: course.asksForPromotion, waits: course.waits)
    }

    /// Refuses what was checked beside while its software went or changed.
    func requireStill(_ checked: CheckedRecord) throws {
        guard try records.software(checked.definition.software)?.digest == checked.software.digest else {
            throw Refusal(
                code: .conflict,
                message: "The software \(checked.definition.software) was removed or pushed anew meanwhile; try again.")
        }
    }

    /// The record of a group that is there is a change of it: its name is no news.
    nonisolated func reading(of source: RecordSource) -> RecordReading {
        let definition: GroupDefinition? =
            switch source {
            case .text(let text): try? GroupLanguage.group(from: text, as: .stored)
            case .json(let text): try? GroupLanguage.group(fromJSON: text, as: .stored)
            }
        return definition.flatMap { try? records.group($0.name) } == nil ? .sent : .change
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

    func requireSecrets(of definition: GroupDefinition) throws {
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

    /// Where a revision comes from.
    struct Origin {
        /// In a line for people.
        var reason = ""
        /// The first revision that said this, where it was rolled back to.
        var restores: Int?
        /// What `count` is in the text that a person sent, where rules have scaled since.
        var startCount: Int?
    }

    func revise(
        _ row: GroupRow, to checked: CheckedRecord, by: String, note: String, origin: Origin,
        address: String? = nil, in burst: inout Burst
    ) throws {
        guard var record = monitor.group(row.name) else {
            throw Refusal(code: .notFound, message: "There is no group \(row.name).")
        }
        if record.run == .running { try requireSecrets(of: checked.definition) }
        let before = record.definition
        record.definition = checked.definition
        // An order that is said again never brings the agent before back.
        if before.agent != checked.definition.agent { burst.overtaken = burst.overtaken ?? issue }
        record.revision = row.revision + 1
        record.by = by
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
        changed.release = record.release
        changed.turn = record.turn
        changed.changed = burst.wall
        changed.changedBy = by
        burst.changes.append(.saveGroup(changed))
        burst.changes.append(
            .revision(
                RevisionRow(
                    group: row.name, revision: record.revision, text: checked.text, digest: record.digest,
                    manifest: record.manifest, by: by, at: burst.wall, reason: origin.reason,
                    summary: Self.changed(from: before, row.digest, to: checked), restores: origin.restores,
                    startCount: origin.startCount, release: record.release)))
        var facts = [
            "revision": "\(record.revision)", "software": "\(before.software) → \(checked.definition.software)",
            "service": "\(before.service) → \(checked.definition.service)",
            "count": "\(before.machines.count) → \(checked.definition.machines.count)",
        ]
        facts["address"] = address
        burst.details[burst.changes.count] = AuditDetail(
            before: Self.summary(before, text: row.text, revision: row.revision),
            after: Self.summary(checked.definition, text: checked.text, revision: record.revision)
                .merging(origin.reason.isEmpty ? [:] : ["reason": origin.reason]) { first, _ in first })
        burst.changes.append(
            .event(
                EventEntry(
                    at: burst.wall, group: row.name, kind: .groupChanged,
                    actor: by.hasPrefix("rule ") || by == "manager" ? by : "user \(by)",
                    message: "\(note): revision \(record.revision)", facts: facts)))
        advance(.group(record, .revised), in: &burst)
        guard before.rollout.delivery != checked.definition.rollout.delivery else { return }
        // Parts come on other topics and under other keys from now on: whoever is receiving has to know which.
        for machine in monitor.machines(of: row.name) where machine.phase == .joined && machine.wanted.order != nil {
            burst.work.append(.order(machine: machine.id))
        }
    }

    /// What a revision changes, in a line.
    static func changed(from before: GroupDefinition?, _ digest: String?, to checked: CheckedRecord) -> String {
        let changes = GroupLanguage.changes(from: before, to: checked.definition)
        if let digest, changes.isEmpty {
            return digest == checked.software.digest
                ? "comments and form only" : "\(checked.definition.software) with other bytes"
        }
        return changes.summary
    }
}

extension GroupRecord {
    /// A stored record is text in the language; it was checked when it was sent.
    init(row: GroupRow) throws {
        do {
            self.init(
                definition: try GroupLanguage.group(from: row.text, as: .stored), revision: row.revision,
                digest: row.digest,
                manifest: row.manifest, run: row.run, paused: row.paused, nextSerial: row.nextSerial,
                release: row.release, turn: row.turn, by: row.changedBy)
        } catch {
            throw StartError(
                "the record of group \(row.name) can't be read any more:\n\(error.rendered(file: row.name, source: row.text))"
            )
        }
    }
}
