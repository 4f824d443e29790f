import Fleet
import Foundation
import GroupLanguage
import Monitor
import Records
import Sealing

extension Control {
    func createGroup(_ source: RecordSource, by caller: Caller) async throws -> GroupView {
        let checked = try await checkBeside(source, as: .sent, by: caller)
        return try transact { control, burst in
            try control.requireStill(checked)
            let name = checked.definition.name
            try caller.requireSecrets(of: checked.definition, beside: nil)
            guard try control.records.group(name) == nil else {
                throw Refusal(
                    code: .conflict,
                    message:
                        "There is a group \(name); change it with PUT /v1/groups/\(name) or: trunkline group apply FILE"
                )
            }
            guard control.monitor.machines(of: name).isEmpty else {
                throw Refusal(
                    code: .conflict,
                    message: "The machines of a former group \(name) are still being released; try again in a moment.")
            }
            let key = SecurityKey()
            let record = GroupRecord(
                definition: checked.definition, revision: 1, digest: checked.software.digest,
                manifest: checked.software.manifest)
            burst.changes.append(
                .saveGroup(
                    GroupRow(
                        name: name, text: checked.text, revision: 1, digest: record.digest, manifest: record.manifest,
                        keyPublic: key.publicKey.rawRepresentation, keySealed: try control.vault.seal(key, of: name),
                        created: burst.wall, changed: burst.wall, changedBy: caller.name)))
            burst.changes.append(
                .revision(
                    RevisionRow(
                        group: name, revision: 1, text: checked.text, digest: record.digest, manifest: record.manifest,
                        by: caller.name, at: burst.wall, summary: "created")))
            burst.note(
                .groupCreated, by: caller, group: name, "Group \(name) created",
                after: Self.summary(checked.definition, text: checked.text, revision: 1))
            control.advance(.group(record, .created), in: &burst)
            return name
        }.view(in: self)
    }

    func changeGroup(
        _ name: String, to source: RecordSource, reason: String?, plan planned: String?, ifRevision: Int?,
        by caller: Caller
    ) async throws -> (group: GroupView, plan: PlanView) {
        _ = try row(name, ifRevision: ifRevision)
        let checked = try await checkBeside(source, as: .change, by: caller)
        let plan = try transact { control, burst in
            let row = try control.row(name, ifRevision: ifRevision)
            try control.requireStill(checked)
            guard checked.definition.name == name else {
                throw Refusal(
                    code: .conflict,
                    message: "The record is of group \(checked.definition.name), not \(name); a group keeps its name.")
            }
            try caller.requireSecrets(of: checked.definition, beside: control.monitor.group(name)?.definition)
            let scaled = try control.keepingScale(checked, of: row, sent: true)
            let checked = scaled.checked
            try control.require(plan: planned, of: checked)
            let plan = Self.plan(scaled, of: row, control.monitor)
            guard checked.text != row.text || checked.software.digest != row.digest else { return plan }
            try control.revise(
                row, to: checked, by: caller.name, note: "Group \(name) changed",
                origin: Origin(reason: reason ?? "", startCount: scaled.startCount), address: caller.address,
                in: &burst)
            return plan
        }
        return (try view(row(name)), plan)
    }

    func instruct(
        _ name: String, _ instruction: GroupInstruction, release: Bool, ifRevision: Int?, by caller: Caller
    ) async throws -> GroupView {
        try transact { control, burst in
            let row = try control.row(name, ifRevision: ifRevision)
            guard var record = control.monitor.group(name) else {
                throw Refusal(code: .notFound, message: "There is no group \(name).")
            }
            let before = Self.state(record)
            switch instruction {
            case .start:
                try control.requireSecrets(of: record.definition)
                try control.requireOrdersFit(record)
                record.run = .running
                burst.note(
                    .groupStarted, by: caller, group: name, "Group \(name) started", before: before,
                    after: Self.state(record))
            case .stop:
                record.run = .stopped
                let machines = control.launchedMachines(of: name)
                burst.note(
                    .groupStopped, by: caller, group: name,
                    "Group \(name) stopped"
                        + (machines == 0
                            ? ""
                            : release
                                ? "; \(Self.machines(machines)) go back with their data"
                                : "; \(Self.machines(machines)) keep their places and data"),
                    facts: release ? ["released": "\(machines)"] : [:], before: before, after: Self.state(record))
            case .restart:
                guard record.run == .running else {
                    throw Refusal(
                        code: .conflict,
                        message: "Group \(name) does not run; start it with: trunkline group start \(name)")
                }
                burst.note(.groupRestarted, by: caller, group: name, "Group \(name) restarted")
                control.advance(.restartGroup(name, by: caller.name), in: &burst)
                return
            case .pause:
                record.paused = true
                burst.note(
                    .groupPaused, by: caller, group: name, "Group \(name) paused: no rule acts", before: before,
                    after: Self.state(record))
            case .resume:
                record.paused = false
                burst.note(
                    .groupResumed, by: caller, group: name, "Group \(name) resumed", before: before,
                    after: Self.state(record))
            }
            _ = row
            burst.changes.append(.groupState(record))
            let change: Monitor.Event.Change =
                switch instruction {
                case .start: .started
                case .stop: .stopped
                case .pause: .paused
                default: .resumed
                }
            control.advance(.group(record, change), in: &burst)
            if instruction == .stop, release { control.advance(.releaseMachines(of: name), in: &burst) }
        }
        return try view(row(name))
    }

    /// How many machines a platform has for the group.
    private func launchedMachines(of name: String) -> Int {
        monitor.machines(of: name).filter { $0.platform != .none }.count
    }

    private static func machines(_ count: Int) -> String { count == 1 ? "its machine" : "its \(count) machines" }

    func removeGroup(_ name: String, force: Bool, forget: Bool, ifRevision: Int?, by caller: Caller) async throws {
        try transact { control, burst in
            let machines = control.launchedMachines(of: name)
            if forget, machines > 0, try control.records.group(name) == nil {
                // Removed before, and its platform has never released what it had.
                return control.advance(.forgetMachines(of: name), in: &burst)
            }
            let row = try control.row(name, ifRevision: ifRevision)
            guard force || control.monitor.group(name)?.run != .running else {
                throw Refusal(
                    code: .conflict,
                    message: "Group \(name) runs; stop it first, or remove it all the same with force=true.")
            }
            let before = control.monitor.group(name).map {
                Self.summary($0.definition, text: row.text, revision: row.revision)
            }
            // No platform releases invited machines: they are told.
            try control.dismissInvited(of: name, in: &burst)
            if forget, var record = control.monitor.group(name) {
                // Stopped, so that no other machine is launched in the place of one that is given up.
                record.run = .stopped
                control.advance(.group(record, .stopped), in: &burst)
                control.advance(.forgetMachines(of: name), in: &burst)
            }
            let left = control.launchedMachines(of: name)
            control.advance(.groupDeleted(name), in: &burst)
            burst.changes.append(.removeGroup(name))
            burst.note(
                .groupDeleted, by: caller, group: name,
                "Group \(name) deleted"
                    + (left == 0 ? "" : "; \(Self.machines(left)) go back with their data")
                    + (left == machines ? "" : "; \(machines - left) given up without a release"),
                before: before)
        }
    }

    func invite(to group: String, _ request: InvitationRequest, by caller: Caller) async throws -> BootTicket {
        guard (1...MachineSet.most).contains(request.uses) else {
            throw Refusal(code: .malformed, message: "uses must be 1 to \(MachineSet.most).")
        }
        guard request.ttl >= .seconds(1), request.ttl <= .hours(24 * 30) else {
            throw Refusal(code: .malformed, message: "ttl must be 1s to 30d.")
        }
        return try transact { control, burst in
            let row = try control.row(group)
            let record = try GroupRecord(row: row)
            guard record.definition.machines.platform == .none else {
                throw Refusal(
                    code: .conflict,
                    message:
                        "Group \(group) gets its machines from the platform \(record.definition.machines.platform); invitations are for groups with platform = none."
                )
            }
            guard group.utf8.count <= Name.longestOfGroup else {
                throw Refusal(
                    code: .conflict,
                    message:
                        "The name \(group) has \(group.utf8.count) characters, which leaves no room for the ids of invited machines: they have up to \(Name.longestMachineSuffix) more, and \(Name.longest) at most. Create a group with a shorter name and invite to that."
                )
            }
            let ticket = try control.makeTicket(
                group: group, machine: nil, uses: request.uses, life: request.ttl, in: &burst)
            burst.note(
                .invitationMade, by: caller, group: group,
                "Invitation for \(request.uses) machines until \(ticket.expires)",
                facts: ["ticket": ticket.ticket],
                after: [
                    "ticket": ticket.ticket, "uses": "\(request.uses)", "expires": ticket.expires.description,
                ])
            return ticket
        }
    }
}

extension String {
    fileprivate func view(in control: isolated Control) throws -> GroupView { control.view(try control.row(self)) }
}
