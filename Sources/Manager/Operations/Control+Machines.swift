import Fleet
import Foundation
import GroupLanguage
import Monitor
import Records

extension Control {
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
            if instruction == .undrain, machine.wanted.drain?.purpose != .hand {
                throw Refusal(
                    code: .conflict,
                    message: machine.wanted.drain.map {
                        "\(id) drains because \($0.purpose.reason), which a person can't undo here."
                    }
                        ?? "\(id) is not drained.")
            }
            if instruction == .drain, machine.wanted.order?.runs != true || machine.phase != .joined {
                throw Refusal(code: .conflict, message: "\(id) runs nothing that could be drained.")
            }
            switch instruction {
            case .restart, .replace, .drain, .undrain:
                burst.note(
                    .machineInstructed, by: caller, group: machine.group, machine: id,
                    "\(instruction.rawValue) of \(id) asked for",
                    facts: ["instruction": instruction.rawValue], after: ["instruction": instruction.rawValue])
                switch instruction {
                case .restart: control.advance(.restartMachine(id), in: &burst)
                case .drain: control.advance(.drainMachine(id), in: &burst)
                case .undrain: control.advance(.undrainMachine(id, by: "user \(caller.name)"), in: &burst)
                default: control.advance(.replaceMachine(id), in: &burst)
                }
            case .revoke:
                burst.note(
                    .machineRevoked, by: caller, group: machine.group, machine: id, "The key of \(id) is revoked",
                    before: ["phase": machine.phase.rawValue, "key": machine.identity.fingerprint ?? "none yet"],
                    after: ["phase": "revoked"])
                control.advance(.revokeMachine(id), in: &burst)
            }
            return control.view(control.monitor.machine(id) ?? machine)
        }
    }
}
