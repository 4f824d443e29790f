import Fleet
import Foundation
import GroupLanguage
import Monitor
import Records

extension Control {
    func machines(group: String?, after: String?, limit: Int, within pattern: GroupPattern?) async throws
        -> Page<MachineView>
    {
        if let group { _ = try row(group) }
        drain()
        // The monitor's state is newer than SQLite's where only heartbeats came, so ids come from there and values from here.
        let ids = try records.machines(group: group, after: after, limit: limit + 1, matching: pattern).map(\.id)
        return page(ids, limit: limit, cursor: { $0 }, view: { $0 }).compactMap { id in
            monitor.machine(id).map(MachineView.init)
        }
    }

    func machine(_ id: String) async throws -> MachineView {
        drain()
        return MachineView(try known(id))
    }

    func instruct(machine id: String, _ instruction: MachineInstruction, by caller: Caller) async throws -> MachineView
    {
        try transact { control, burst in
            let machine = try control.known(id)
            let running = control.monitor.group(machine.group)?.run == .running
            guard running || instruction == .revoke else {
                throw Refusal(
                    code: .conflict,
                    message:
                        "Group \(machine.group) does not run; start it with: trunkline group start \(machine.group)")
            }
            if instruction == .replace, machine.platform == .none {
                throw Refusal(
                    code: .conflict,
                    message: "\(id) joined by invitation, so no platform can replace it; revoke it and invite another.")
            }
            switch instruction {
            case .restart, .replace:
                burst.note(
                    .machineInstructed, by: caller, group: machine.group, machine: id,
                    "\(instruction.rawValue) of \(id) asked for",
                    facts: ["instruction": instruction.rawValue], after: ["instruction": instruction.rawValue])
                control.advance(instruction == .restart ? .restartMachine(id) : .replaceMachine(id), in: &burst)
            case .revoke:
                burst.note(
                    .machineRevoked, by: caller, group: machine.group, machine: id, "The key of \(id) is revoked",
                    before: ["phase": machine.phase.rawValue, "key": machine.fingerprint ?? "none yet"],
                    after: ["phase": "revoked"])
                control.advance(.revokeMachine(id), in: &burst)
            }
            return MachineView(control.monitor.machine(id) ?? machine)
        }
    }

    func explain(_ id: String) async throws -> ExplanationView {
        drain()
        _ = try known(id)
        guard var explanation = monitor.explain(id, at: .now) else {
            throw Refusal(code: .notFound, message: "There is no machine \(id).")
        }
        // The monitor does not know the language that people read.
        for (index, rule) in (monitor.group(explanation.group)?.definition.rules ?? []).enumerated()
        where explanation.rules.indices.contains(index) && explanation.rules[index].name == rule.name {
            explanation.rules[index].when = GroupLanguage.text(of: rule.when)
        }
        explanation.events = try records.latestEvents(machine: id, limit: 10)
        return explanation
    }

    func logs(ofMachine id: String) async throws -> AsyncStream<LogView> {
        drain()
        let machine = try known(id)
        return try await logDesk.watch(machine: id, of: machine.group)
    }

    private func known(_ id: String) throws -> MachineRecord {
        guard let machine = monitor.machine(id) else {
            throw Refusal(
                code: .notFound,
                message: "There is no machine \(id); trunkline machine list shows those that there are.")
        }
        return machine
    }
}

extension Page {
    fileprivate func compactMap<Other: Codable & Sendable>(_ transform: (Item) -> Other?) -> Page<Other> {
        Page<Other>(items: items.compactMap(transform), next: next)
    }
}
