import Fleet
import Messaging
import Monitor
import Records
import Sealing

extension Control {
    /// What the intake has found: told after the commit, unless the machine has joined meanwhile.
    func dismiss(_ dismissed: Dismissed, in burst: inout Burst) {
        guard monitor.machine(dismissed.machine) == nil else { return }
        burst.work.append(.answer(machine: dismissed.machine, dismissed.answer))
        guard dismissed.isNews else { return }
        burst.changes.append(
            .event(
                EventEntry(
                    at: burst.wall, group: monitor.group(dismissed.group) == nil ? nil : dismissed.group,
                    machine: dismissed.machine, kind: .machineDismissed, actor: "manager",
                    message:
                        "\(dismissed.machine) came back and was told that it is not wanted any more: \(dismissed.reason)",
                    facts: ["reason": dismissed.reason])))
    }

    /// The last word to the invited machines of a group that goes, sealed while its key is there. Whoever is not connected is told when it
    /// comes back.
    func dismissInvited(of name: String, in burst: inout Burst) throws {
        guard let group = try records.group(name) else { return }
        for machine in monitor.machines(of: name) where machine.platform == .none && machine.phase == .joined {
            guard let known = try records.machineKey(machine.id),
                let groupKey = try vault.key(of: group, withPublicHalf: known.groupKey)
            else { continue }
            burst.lastOrders[machine.id] = try Dismisser.leaveOrder(
                on: topics.order(group: name, machine: machine.id), to: machine.id, of: name,
                key: SecurityKey.PublicKey(rawRepresentation: known.publicKey), from: groupKey,
                generation: (machine.wanted.order?.generation ?? 0) + 1, reason: "group \(name) was removed")
        }
    }
}
