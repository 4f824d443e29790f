import Fleet
import GroupLanguage
import Records

/// Revisions as machines can be asked to be, and what keeps their software here.
extension Control {
    /// The one in force, those in `assigned`, and the last good ones; newest first. One that can't be read any more is none.
    nonisolated func releases(of group: String, assigned: Set<Int> = []) throws -> [Release] {
        try records.releases(of: group, assigned: assigned).compactMap(Release.init(row:))
    }

    /// Refuses to remove the software of a release that a group may go back to, or that a machine runs.
    func requireNoWayBack(_ software: SoftwareRow) throws {
        // Other names for the same bytes keep them here; the release names this one all the same.
        let returning = try records.groups(returningToDigest: software.digest)
        guard returning.isEmpty else {
            let groups = returning.map { "\($0.group) (revision \($0.revision))" }
            throw Refusal(
                code: .conflict,
                message:
                    "\(software.reference) is what \(groups.joined(separator: ", ")) can be rolled back to; it can be removed when a newer good revision has taken its place, or the group is gone."
            )
        }
        let machines = try records.machines(runningDigest: software.digest)
        guard machines.isEmpty else {
            let more = machines.count > 5 ? " and \(machines.count - 5) more" : ""
            let named = machines.prefix(5).joined(separator: ", ") + more
            throw Refusal(
                code: .conflict,
                message:
                    "\(software.reference) is what \(named) still run\(machines.count == 1 ? "s" : "") or must run again; remove it when they have something else."
            )
        }
        guard software.name == SoftwareManifest.agentName else { return }
        for group in try records.allGroups() {
            let back = try releases(of: group.name).first { $0.verdict == .good && $0.revision < group.revision }
            guard back?.definition.agent != software.version else {
                throw Refusal(
                    code: .conflict,
                    message:
                        "\(software.reference) is the agent of what \(group.name) can be rolled back to (revision \(back?.revision ?? 0))."
                )
            }
        }
    }
}

extension Release {
    /// Nil where its text can't be read any more, or its software is not known.
    init?(row: RevisionRow) {
        guard let manifest = row.manifest,
            let definition = try? GroupLanguage.group(from: row.text, as: .stored)
        else { return nil }
        self.init(
            number: row.release, revision: row.revision, definition: definition, manifest: manifest, digest: row.digest,
            verdict: row.verdict
        )
    }
}

extension [RevisionRow] {
    /// What a roll-back that names no revision goes to: the newest from before what the record says now came into force that said
    /// something else and has not failed; one that was good before one that is untried. So a second roll-back goes further back, and
    /// never forward again. `self` is in order, the newest first.
    func wayBack(from current: Int) -> RevisionRow? {
        guard let now = first(where: { $0.revision == current }) else { return nil }
        let (origin, text) = (now.restores ?? current, now.textAsSent)
        let earlier = filter { row in
            if case .failed = row.verdict { return false }
            return row.revision < origin && (row.text != now.text && row.textAsSent != text)
        }
        return earlier.first { $0.verdict == .good } ?? earlier.first
    }
}

extension RevisionRow {
    /// With the count that a person wrote: what a rule made of it is no other release.
    fileprivate var textAsSent: String {
        startCount.flatMap { try? GroupLanguage.setting(count: $0, in: text) } ?? text
    }
}
