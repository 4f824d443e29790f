import Crypto
import Fleet
import Foundation
import Records

/// What the audit log says of an event beside what the event says itself; never a secret.
struct AuditDetail: Sendable {
    var subject: String?
    var before: [String: String]?
    var after: [String: String]?

    static func text(_ state: [String: String]) -> String? { try? JSONText.text(of: state) }
}

/// Every event that somebody answers for becomes a line of the audit log, in the transaction of what it tells of.
extension Control {
    func auditLines(of burst: Burst) -> [Records.Change] {
        var lines: [Records.Change] = []
        for (place, change) in burst.changes.enumerated() {
            switch change {
            case .event(let event) where event.kind.isAudited:
                if let line = line(event, burst.details[place]) { lines.append(.audit(line)) }
            case .removeMachine(let id): verified[id] = nil
            default: break
            }
        }
        return lines
    }

    private func line(_ event: EventEntry, _ given: AuditDetail?) -> AuditEntry? {
        guard let detail = given ?? detail(of: event) else { return nil }
        let (who, from) = event.responsible
        return AuditEntry(
            at: event.at, who: who, from: from, what: event.kind.rawValue,
            subject: detail.subject ?? event.machine.map { "machine \($0)" } ?? event.group.map { "group \($0)" } ?? "",
            before: detail.before.flatMap(AuditDetail.text), after: detail.after.flatMap(AuditDetail.text))
    }

    /// Of an event that no person made; nil where it tells nothing new.
    private func detail(of event: EventEntry) -> AuditDetail? {
        switch event.kind {
        case .ruleActed:
            // The rule is who; what it saw is before, what it did is after.
            let seen = event.facts.filter { !["rule", "index", "action"].contains($0.key) }
            return AuditDetail(before: seen, after: ["action": event.facts["action"] ?? ""])
        case .machineVerified:
            guard let machine = event.machine else { return nil }
            // Its place, generation and the rest follow from orders; what it runs is what counts.
            let now = event.facts.filter { ["software", "software.digest"].contains($0.key) }
            let text = AuditDetail.text(now).map { sharedTexts.one($0) }
            let last = verified[machine]
            guard text != last else { return nil }
            verified[machine] = text
            let before = last.flatMap { try? JSONDecoder().decode([String: String].self, from: Data($0.utf8)) }
            return AuditDetail(before: before, after: now)
        default: return AuditDetail(after: event.facts.filter { $0.key != "address" })
        }
    }

    /// A record in a line: its text is in the revisions, and can't be changed there without this no longer fitting.
    static func summary(_ definition: GroupDefinition, text: String, revision: Int) -> [String: String] {
        [
            "revision": "\(revision)", "service": definition.service, "software": "\(definition.software)",
            "count": "\(definition.machines.count)",
            "sha256": SHA256.hash(data: Data(text.utf8)).map { String(format: "%02x", $0) }.joined(),
        ]
    }

    static func state(_ record: GroupRecord) -> [String: String] {
        ["run": record.run.rawValue, "paused": "\(record.paused)"]
    }
}

extension EventEntry {
    /// Who answers for it, and by which way it came.
    fileprivate var responsible: (who: String, from: String) {
        if actor.hasPrefix("rule ") {
            return ("rule \"\(actor.dropFirst("rule ".count))\"" + (group.map { " of \($0)" } ?? ""), "rule")
        }
        if let address = facts["address"] { return (actor, address) }
        switch kind {
        case .machineVerified: return ("machine \(machine ?? "")", "broker")
        case .machineRegistered, .registrationRefused: return (actor, "broker")
        default: return (actor, "manager")
        }
    }
}
