import Fleet
import Foundation
import Monitor
import Records
import Sealing

/// A group's key and its replacement, of which each machine hears in its order.
///
/// A machine is spoken to under the key that it knows. It says that it has the new one by asking for a certificate under
/// it; when all have, and no ticket names the old one any more, the old one is forgotten.
extension Control {
    func rotateGroupKey(_ name: String, force: Bool, by caller: Caller) async throws -> GroupKeyRotationView {
        guard issuer != nil else {
            throw Refusal(
                code: .conflict,
                message:
                    "The manager runs with --insecure, where machines renew nothing: a group's key is replaced only where the broker speaks TLS."
            )
        }
        return try transact { control, burst in
            guard var row = try control.records.group(name), control.monitor.group(name) != nil else {
                throw Refusal(
                    code: .notFound,
                    message: "There is no group \(name); trunkline group list shows those that there are.")
            }
            var after: [String: String] = [:]
            if let previous = row.previousKey?.publicHalf, force {
                let lost = try control.records.countOfMachines(of: name, knowing: previous)
                after["given_up"] = "\(lost)"
            } else {
                try control.requireEverybodyKnowsKey(of: row, at: burst.now)
            }
            let old = try control.vault.groupKey(row.keySealed, of: name)
            let new = SecurityKey()
            let waiting = try control.records.countOfMachines(of: name, knowing: row.keyPublic)
            let ticket = try control.records.lastTicket(of: name, naming: row.keyPublic, after: burst.now)
            row.previousKey =
                waiting == 0 && ticket == nil
                ? nil : .init(publicHalf: row.keyPublic, sealed: try control.vault.seal(previous: old, of: name))
            row.keyPublic = new.publicKey.rawRepresentation
            row.keySealed = try control.vault.seal(new, of: name)
            after["key"] = new.publicKey.fingerprint
            burst.changes.append(.saveGroup(row))
            burst.note(
                .keyRotated, by: caller, group: name, "Group \(name) has a new key; its machines are told",
                facts: ["key": new.publicKey.fingerprint], subject: "group \(name)",
                before: ["key": old.publicKey.fingerprint], after: after)
            for machine in control.monitor.machines(of: name) where machine.wanted.order != nil {
                burst.work.append(.order(machine: machine.id))
            }
            return GroupKeyRotationView(group: name, key: new.publicKey.fingerprint, waiting: waiting)
        }
    }

    /// There are never more than two keys: who knows only the older one would be lost.
    private func requireEverybodyKnowsKey(of row: GroupRow, at now: Timestamp) throws {
        guard let previous = row.previousKey?.publicHalf else { return }
        let count = try records.countOfMachines(of: row.name, knowing: previous)
        guard count == 0 else {
            let first = try records.machines(of: row.name, knowing: previous, limit: 5).joined(separator: ", ")
            throw Refusal(
                code: .conflict,
                message:
                    "\(count == 1 ? "1 machine does" : "\(count) machines do") not know the key of the last rotation yet (\(first)); each hears of it when it is there. With force they are given up, and need a new ticket and --rejoin."
            )
        }
        if let expires = try records.lastTicket(of: row.name, naming: previous, after: now) {
            throw Refusal(
                code: .conflict,
                message:
                    "A boot ticket from before the last rotation is still good, until \(expires + clock.shift). Wait until it is used or expired; with force it is worth nothing any more."
            )
        }
    }

    /// Forgets the old key when the last one who needed it has the new one, as this one has now.
    func keyToForget(with registration: OpenedRegistration, in burst: Burst) throws -> [Records.Change]? {
        let name = registration.group
        guard let row = try records.group(name), let previous = row.previousKey?.publicHalf,
            try records.lastTicket(of: name, naming: previous, after: burst.now) == nil
        else { return nil }
        // Those of this burst know the new one already.
        let knowing = burst.admitted.keys.filter { $0.value.groupKey == row.keyPublic }.keys
        let waiting = try records.machines(of: name, knowing: previous, limit: knowing.count + 2)
        guard waiting.allSatisfy({ $0 == registration.machine || knowing.contains($0) }) else { return nil }
        return [
            .forgetPreviousKey(group: name),
            .event(
                EventEntry(
                    at: burst.wall, group: name, kind: .keyRotated, actor: "manager",
                    message: "Every machine of \(name) knows the group's new key; the old one is forgotten",
                    facts: ["key": try SecurityKey.PublicKey(rawRepresentation: row.keyPublic).fingerprint])),
        ]
    }
}
