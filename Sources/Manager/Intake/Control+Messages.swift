import Fleet
import Foundation
import Logging
import Messaging
import Monitor
import Records
import Sealing

/// What arrives by MQTT: hostile until its seal or MAC has been checked.
extension Control {
    func receive(_ message: Message, in burst: inout Burst) {
        switch topics.parse(message.topic) {
        case .status(let group, let machine):
            // An empty retained message is our own clearing of a machine that is gone.
            guard !message.payload.isEmpty else { return }
            receiveStatus(message.payload, group: group, machine: machine, in: &burst)
        case .registration(let group, let machine):
            receiveRegistration(message.payload, group: group, machine: machine, in: &burst)
        case .bootRegistration(let group, let machine):
            receiveRegistration(message.payload, group: group, machine: machine, boots: true, in: &burst)
        default: break
        }
    }

    private func receiveStatus(_ payload: Data, group: String, machine: String, in burst: inout Burst) {
        counters.statusReceived()
        guard let key = statusKeys[machine] else {
            // Left over from a machine that is gone, or before its registration came: its next heartbeat says it again.
            counters.statusUnknown()
            return
        }
        let status: StatusMessage
        do {
            status = try StatusMessage.decode(payload)
        } catch {
            return refuse(
                .statusRefused, group: group, machine: machine, "a status could not be read: \(error)", in: &burst)
        }
        guard key.isValid(status.mac, for: status.signed) else {
            return refuse(.statusRefused, group: group, machine: machine, "a status had a wrong MAC", in: &burst)
        }
        guard status.status.group == group, status.status.machine == machine else {
            return refuse(
                .statusRefused, group: group, machine: machine, "a status of another machine came on this topic",
                in: &burst)
        }
        advance(.status(status.status), in: &burst)
        counters.statusTaken()
        if status.status.receiving != nil || counters.isDelivering {
            burst.work.append(.receiving(status.status))
        }
    }

    /// Counts a refused message and, within limits, writes it into the history: a flood of garbage must not fill the disk.
    func refuse(_ kind: EventEntry.Kind, group: String, machine: String, _ reason: String, in burst: inout Burst) {
        counters.refused()
        logger.warning(
            "refused", metadata: ["kind": "\(kind.rawValue)", "machine": "\(machine)", "reason": "\(reason)"])
        guard refusals.mayRecord(at: burst.now) else { return }
        let known = monitor.group(group) != nil
        burst.changes.append(
            .event(
                EventEntry(
                    at: burst.now, group: known ? group : nil, machine: machine, kind: kind, actor: "manager",
                    message:
                        "\(kind == .statusRefused ? "Status" : "Registration") of \(machine) in \(group) refused: \(reason)",
                    facts: ["reason": reason])))
    }
}
