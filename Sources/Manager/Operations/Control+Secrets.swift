import Fleet
import Foundation
import Monitor
import Records

extension Control {
    func setSecret(_ name: String, to value: String, by caller: Caller) async throws {
        guard Name.isValid(name) else {
            throw Refusal(
                code: .malformed, message: "A secret's name is made of a-z, 0-9 and -, at most \(Name.longest).")
        }
        guard !value.utf8.contains(0) else {
            throw Refusal(
                code: .malformed, message: "A secret can't contain a NUL byte: it travels in the environment.")
        }
        try transact { control, burst in
            try control.requireOrdersFit(secret: name, value: value)
            let former = try control.records.secret(name)
            let isKnown = former != nil
            let changes = try former.map { try control.vault.secret($0, named: name) != value } ?? false
            burst.changes.append(
                .secret(name: name, sealed: try control.vault.seal(secret: value, named: name), at: burst.wall))
            burst.note(
                .secretSet, by: caller, "Secret \(name) set",
                subject: "secret \(name)", before: ["set": "\(isKnown)"], after: ["set": "true"])
            guard changes else { return }
            // Software that runs gets it as every other change: in waves, drained first where its group drains.
            for group in control.groupsNaming(secret: name) {
                control.advance(
                    .restartGroup(group, by: caller.name, because: "secret \(name) was set anew"), in: &burst)
            }
        }
    }

    func removeSecret(_ name: String, by caller: Caller) async throws {
        try transact { control, burst in
            guard try control.records.secret(name) != nil else {
                throw Refusal(code: .notFound, message: "There is no secret \(name).")
            }
            let users = control.groupsNaming(secret: name)
            guard users.isEmpty else {
                throw Refusal(
                    code: .conflict, message: "The secret \(name) is named by \(users.joined(separator: ", ")).")
            }
            burst.changes.append(.removeSecret(name))
            burst.note(
                .secretRemoved, by: caller, "Secret \(name) removed", subject: "secret \(name)",
                before: ["set": "true"], after: ["set": "false"])
        }
    }

    private func groupsNaming(secret: String) -> [String] {
        let rows = (try? records.allGroups()) ?? []
        return rows.filter { $0.text.contains("secret(\"\(secret)\")") }.map(\.name)
    }
}
