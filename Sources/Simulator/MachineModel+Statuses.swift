import Fleet
import FoundationEssentials
import Messaging

/// What it says of itself.
extension MachineModel {
    /// Says what it is, where that is owed or a heartbeat is due, once it is known to the manager.
    mutating func say(_ actions: inout [Action], _ now: Duration) {
        guard case .up(let way, true) = link, way != .boot, order != nil, !inFlight,
            isOwed || saidAt + heartbeat <= now
        else { return }
        sequence += 1
        isOwed = false
        inFlight = true
        saidAt = now
        // A call comes or goes.
        calls = max(0, calls + Int.random(in: -1...1, using: &dice))
        guard let payload = try? paper.signed(status(now)) else { return }
        actions.append(.found(.status))
        actions.append(
            .publish(
                Message(topic: paper.statusTopic, payload: payload, qos: .atLeastOnce, retained: true), isStatus: true))
    }

    private func status(_ now: Duration) -> Status {
        var running = stage == .running ? software : nil
        if driftedAt != nil { running?.digest = String(repeating: "0", count: 64) }
        let state: MachineState =
            switch stage {
            case .idle: .idle
            case .receiving: .receiving
            case .starting: .starting
            case .running: order?.action == .drain ? .draining : .running
            case .failed: .failed
            case .stopped: .stopped
            }
        return Status(
            group: common.ticket.group, machine: paper.id, session: session, sequence: sequence, at: common.wall(now),
            state: state, order: order?.generation ?? 0, issue: heard, software: running,
            receiving: stage == .receiving ? order.map { Receiving(digest: $0.digest, have: have) } : nil,
            metrics: running == nil ? [:] : ["calls": Double(calls)], reason: reason, holder: holder,
            heartbeat: .milliseconds(Int64(heartbeat / .milliseconds(1))), agent: Version.text,
            wires: WireVersion.spoken)
    }

    /// The last will, and the last word of one who leaves.
    func farewell(_ now: Duration) -> Message? {
        let status = Status(
            group: common.ticket.group, machine: paper.id, session: session, sequence: 0, at: common.wall(now),
            state: .away, holder: holder)
        // Before it has registered nobody would believe it.
        return (try? paper.signed(status)).map {
            Message(topic: paper.statusTopic, payload: $0, qos: .atLeastOnce, retained: true)
        }
    }

    static func hex(_ bytes: Data) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
