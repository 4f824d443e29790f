import Fleet
import GroupLanguage
import Records

/// Where a rule scales, `count` in the text that a person sends is the start: what rules made of it stays, until that count changes.
extension Control {
    /// A rule's scale: the record itself changes, so that what happens is what the record says.
    func scale(_ name: String, to count: Int, by rule: String) throws {
        try transact { control, burst in
            let row = try control.row(name)
            let now = try control.records.revision(row.revision, of: name)
            let start = try now?.startCount ?? GroupRecord(row: row).definition.machines.count
            try control.revise(
                row, to: control.check(.text(Self.text(row.text, count: count)), as: .stored), by: "rule \(rule)",
                note: "Group \(name) scaled to \(count)",
                origin: Origin(
                    reason: "scaled to \(count) by rule \(rule)", restores: now?.restores, startCount: start),
                in: &burst)
        }
    }

    /// A record that is to come into force, and what rules made of its count.
    struct ScaledRecord: Sendable {
        var checked: CheckedRecord
        /// Nil: nothing of its count comes from a rule.
        var startCount: Int?
        /// For people; nil: its count is the one that it says.
        var note: String?
    }

    /// - Parameter sent: whether a person sends it, whose new count is meant; not where an earlier record comes into force again.
    /// What was scaled itself is taken with the count that a person once sent for it.
    nonisolated func keepingScale(_ checked: CheckedRecord, of row: GroupRow?, sent: Bool) throws -> ScaledRecord {
        guard let row, let start = try records.revision(row.revision, of: row.name)?.startCount,
            checked.definition.scales, !sent || checked.definition.machines.count == start
        else { return ScaledRecord(checked: checked) }
        let (machines, scaled) = (checked.definition.machines, try GroupRecord(row: row).definition.machines.count)
        let count = min(max(scaled, machines.minimum ?? 0), machines.maximum ?? MachineSet.most)
        var kept = checked
        if count != machines.count {
            kept.text = try Self.text(checked.text, count: count)
            kept.definition.machines.count = count
        }
        return ScaledRecord(
            checked: kept, startCount: machines.count,
            note: count == machines.count
                ? nil
                : "count stays \(count): rules scaled it from \(start), which is where the record starts; \(sent ? "send another count" : "change the record") to set it"
        )
    }

    private nonisolated static func text(_ text: String, count: Int) throws -> String {
        do throws(Diagnostics) { return try GroupLanguage.setting(count: count, in: text) } catch {
            throw Refusal(error, in: "record", source: text)
        }
    }
}

extension GroupDefinition {
    /// Whether a rule changes its count.
    fileprivate var scales: Bool {
        rules.contains { rule in
            switch rule.action {
            case .scale, .scaleTo: true
            case .deliver, .restart, .stop, .replace, .revoke, .rollback, .notify: false
            }
        }
    }
}
