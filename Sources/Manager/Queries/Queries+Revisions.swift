import Fleet
import GroupLanguage
import Records

/// What a group's record was, and how revisions differ.
extension Queries {
    func revisions(_ name: String) async throws -> Page<RevisionView> {
        let current = try await row(name).revision
        let rows = try await reading { try $0.revisions(of: name) }
        let back = rows.wayBack(from: current)?.revision
        let rollouts = try await rolloutsByRevision(name)
        return Page(
            items: rows.map { RevisionView($0, current: current, back: back, rollouts: rollouts[$0.revision] ?? []) })
    }

    private func rolloutsByRevision(_ name: String) async throws -> [Int: [RolloutSummary]] {
        let shift = clock.shift
        let kept = try await reading { try $0.rollouts(of: name) }
        return Dictionary(grouping: kept.filter { $0.revision != nil }) { $0.revision ?? 0 }
            .mapValues { $0.map { RolloutSummary(RolloutView($0, shift: shift)) } }
    }

    func revision(_ revision: Int, of name: String) async throws -> RevisionView {
        let current = try await row(name).revision
        let rows = try await reading { try $0.revisions(of: name) }
        guard let row = rows.first(where: { $0.revision == revision }) else {
            throw Refusal.noRevision(revision, of: name)
        }
        var view = RevisionView(
            row, current: current, back: rows.wayBack(from: current)?.revision,
            rollouts: try await rolloutsByRevision(name)[revision] ?? [])
        view.text = row.text
        return view
    }

    func revisionRow(_ revision: Int, of name: String) async throws -> RevisionRow {
        _ = try await row(name)
        guard let found = try await reading({ try $0.revision(revision, of: name) }) else {
            throw Refusal.noRevision(revision, of: name)
        }
        return found
    }

    /// Without `to` the revision in force, without `from` the one that is kept before it.
    func revisions(from: Int?, to: Int?, of name: String) async throws -> (RevisionRow, RevisionRow) {
        let current = try await row(name).revision
        let new = try await revisionRow(to ?? current, of: name)
        if let from { return (try await revisionRow(from, of: name), new) }
        let rows = try await reading { try $0.revisions(of: name) }
        guard let old = rows.first(where: { $0.revision < new.revision }) else {
            throw Refusal(
                code: .notFound, message: "Revision \(new.revision) of \(name) is the first that is kept.")
        }
        return (old, new)
    }
}

extension Refusal {
    static func noRevision(_ revision: Int, of group: String) -> Refusal {
        Refusal(
            code: .notFound,
            message:
                "Revision \(revision) of \(group) is not kept; trunkline group history \(group) shows those that are.")
    }
}

extension RevisionView {
    /// Without its text.
    init(_ row: RevisionRow, current: Int, back: Int?, rollouts: [RolloutSummary]) {
        self.init(
            revision: row.revision, by: row.by, at: row.at, reason: row.reason, changed: row.summary,
            digest: row.digest, software: row.manifest?.reference.description, verdict: VerdictView(row.verdict),
            current: row.revision == current, back: row.revision == back, rollouts: rollouts)
    }
}

extension DifferenceView {
    init(from old: RevisionRow, to new: RevisionRow) {
        let before = try? GroupLanguage.group(from: old.text, as: .stored)
        var changes: [RecordChange] = []
        if let before, let after = try? GroupLanguage.group(from: new.text, as: .stored) {
            changes = GroupLanguage.changes(from: before, to: after)
        }
        // Pushed anew under the same name after a removal.
        if old.digest != new.digest, !changes.contains(where: { $0.name == "software" }) {
            changes.append(RecordChange(kind: .field, name: "digest", before: old.digest, after: new.digest))
        }
        self.init(
            group: new.group, from: old.revision, to: new.revision,
            text: GroupLanguage.difference(from: old.text, to: new.text), changes: changes)
    }
}

extension CheckView {
    /// A group or software.
    init(_ source: RecordSource, in records: Records) {
        func manifest(_ software: SoftwareReference) -> SoftwareManifest? {
            (try? records.software(software))?.manifest
        }
        let (found, text): ([Diagnostic], String)
        switch source {
        case .text(let given): (found, text) = (GroupLanguage.check(given, manifest: manifest), given)
        case .json(let given):
            text = given
            do {
                let group = try GroupLanguage.group(fromJSON: given, as: .change)
                found = GroupLanguage.warnings(of: given, isJSON: true, manifest: manifest(group.software))
            } catch {
                found = error.all
            }
        }
        self.init(
            ok: !found.contains { $0.severity == .error }, diagnostics: found.map(\.view),
            text: Diagnostics(found).rendered(file: "record", source: text))
    }
}
