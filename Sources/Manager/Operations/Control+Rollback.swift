import Fleet
import GroupLanguage
import Records

extension Control {
    func rollBack(
        _ name: String, _ request: RollbackRequest, ifRevision: Int?, by caller: Caller
    ) async throws -> GroupView {
        _ = try transact { control, _ in try control.row(name, ifRevision: ifRevision) }
        try rollBack(
            name, to: request.to, by: caller.name, reason: request.reason, plan: request.plan, address: caller.address)
        return try view(row(name))
    }

    /// A new revision with what an earlier one said.
    ///
    /// - Parameter to: nil: see `wayBack(from:)`. One that failed comes back only where it is named.
    func rollBack(
        _ name: String, to revision: Int? = nil, by: String, reason: String? = nil, plan: String? = nil,
        address: String? = nil
    ) throws {
        try transact { control, burst in
            let row = try control.row(name)
            let target = try control.wayBack(of: row, to: revision)
            let scaled = try control.former(target, of: row)
            try control.require(plan: plan, of: scaled.checked)
            let back = "back to what revision \(target.revision) said"
            try control.revise(
                row, to: scaled.checked, by: by,
                note: "Group \(name) rolled \(back)" + (scaled.note.map { "; \($0)" } ?? ""),
                origin: Origin(
                    reason: reason.map { "\(back): \($0)" } ?? back, restores: target.restores ?? target.revision,
                    startCount: scaled.startCount ?? target.startCount), address: address, in: &burst)
        }
    }

    /// The revision that the group's record is to be again.
    func wayBack(of row: GroupRow, to revision: Int?) throws -> RevisionRow {
        // The newest first.
        let revisions = try records.revisions(of: row.name)
        guard let revision else {
            guard let back = revisions.wayBack(from: row.revision) else {
                throw Refusal(
                    code: .conflict,
                    message: "Group \(row.name) has no earlier revision that differs and has not failed.")
            }
            return back
        }
        let named = try self.revision(revision, of: row)
        guard named.text != row.text else {
            throw Refusal(
                code: .conflict, message: "Revision \(revision) of \(row.name) says what the record says now.")
        }
        return named
    }

    func revision(_ revision: Int, of row: GroupRow) throws -> RevisionRow {
        guard let named = try records.revision(revision, of: row.name) else {
            throw Refusal.noRevision(revision, of: row.name)
        }
        return named
    }

    /// What an earlier revision said, as it comes into force again: with the count that rules made of it.
    func former(_ target: RevisionRow, of row: GroupRow) throws -> ScaledRecord {
        try keepingScale(check(.text(target.text), as: .stored), of: row, sent: false)
    }
}
