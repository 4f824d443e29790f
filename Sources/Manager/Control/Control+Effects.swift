import Fleet
import Foundation
import Messaging
import Monitor
import Platforms
import Records

/// From what the monitor asks for to what is committed and done.
extension Control {
    /// What happens outside after a commit.
    enum Work: Sendable {
        case order(machine: String)
        case launch(LaunchRequest, Platform)
        case release(machine: String, Platform)
        case releaseUnknown(machine: String, Platform)
        case list(Platform)
        /// `after`: said before the retained messages are cleared.
        case clearTopics(group: String, machine: String, after: Message? = nil)
        case receiving(Status)
        case absent(machine: String)
        /// A certificate for who asked for it.
        case answer(machine: String, Message)
        /// Its certificates were revoked: its connection is to end, too.
        case exclude(machine: String, group: String? = nil)
        /// The list of revoked certificates is to be written anew.
        case revocations

        func isOrder(for status: Status) -> Bool {
            if case .order(let machine) = self { machine == status.machine } else { false }
        }
    }

    /// Moves the monitor and gathers what it asks for.
    func advance(_ event: Monitor.Event, in burst: inout Burst) {
        let unlisted = monitor.unlisted
        let groups = journal == nil ? [] : monitor.groups(of: event)
        let effects = monitor.handle(event, at: burst.now)
        if monitor.wasSteady, case .status(let status) = event {
            burst.touched.pulses.insert(status.machine)
        } else {
            burst.touched.insert(event)
        }
        // Of what was said again the journal has the first time.
        if !monitor.wasSaidAgain { note(event, of: groups, moved: !effects.isEmpty, in: &burst) }
        counters.eventsUnlisted(monitor.unlisted - unlisted)
        for effect in effects {
            burst.touched.insert(effect)
            gather(effect, in: &burst)
        }
        // Another record may name other windows.
        switch event {
        case .group, .groupDeleted: tellWindows(in: &burst)
        default: break
        }
    }

    private func gather(_ effect: Monitor.Effect, in burst: inout Burst) {
        switch effect {
        case .saveGroup(let group): burst.changes.append(.groupState(group))
        case .saveMachine(let machine):
            burst.changes.append(.saveMachine(machine))
            if machine.judged.awaySince != nil || machine.phase != .joined {
                burst.work.append(.absent(machine: machine.id))
            }
        case .removeMachine(let id, let group):
            burst.changes.append(.removeMachine(id))
            burst.statusKeys[id] = .some(nil)
            burst.work.append(.clearTopics(group: group, machine: id, after: burst.lastOrders[id]))
            exclude(id, of: group, in: &burst)
            history.forget(id)
        case .record(let entry):
            if let entry = history.admit(entry, at: burst.now) {
                burst.changes.append(.event(entry))
            } else {
                counters.eventsUnlisted(1)
            }
        case .sendOrder(let machine, _): burst.work.append(.order(machine: machine))
        case .launch(let machine, let group, let index, let platform):
            launch(machine, group: group, index: index, platform: platform, in: &burst)
        case .release(let machine, _, let platform): burst.work.append(.release(machine: machine, platform))
        case .revoke(let machine, let group, let fingerprint):
            if let fingerprint {
                burst.changes.append(.revokeKey(fingerprint: fingerprint, machine: machine, at: burst.wall))
            }
            burst.statusKeys[machine] = .some(nil)
            burst.work.append(.clearTopics(group: group, machine: machine))
            exclude(machine, of: group, in: &burst)
        case .list(let platform): burst.work.append(.list(platform))
        case .releaseUnknown(let machine, let platform):
            burst.work.append(.releaseUnknown(machine: machine, platform))
        case .saveActs(let acts): burst.changes.append(.ruleActs(acts))
        case .saveRollout(let rollout): burst.changes.append(.rollout(rollout))
        case .saveVerdict(let group, let release, let verdict):
            burst.changes.append(.verdict(group: group, release: release, verdict))
        case .scale, .goBack: burst.revisions.append(effect)
        }
    }

    /// A manager that was killed after it had committed a revocation has ended no connection.
    func excludeAgain() {
        guard issuer != nil else { return }
        let now = clock.wall
        let recent = (try? records.revokedCertificates(at: now))?.filter {
            $0.revoked.map { now - $0 < .hours(1) } ?? false
        }
        for name in Set((recent ?? []).map(\.name)) { handOver([.exclude(machine: name)]) }
    }

    /// A machine that is gone or revoked gets no connection with the broker any more.
    private func exclude(_ machine: String, of group: String, in burst: inout Burst) {
        guard issuer != nil else { return }
        burst.changes.append(.revokeCertificates(name: machine, at: burst.wall))
        burst.work.append(.exclude(machine: machine, group: group))
    }

    private func launch(_ machine: String, group: String, index: Int, platform: Platform, in burst: inout Burst) {
        do {
            // From the decision on; the group's time counts from the platform's word.
            let boot = monitor.group(group)?.definition.machines.bootTimeout ?? .zero
            let ticket = try makeTicket(
                group: group, machine: machine, uses: 1,
                life: max(configuration.launchTicketLife, configuration.driverTimeout + boot), in: &burst)
            let labels = monitor.group(group)?.definition.machines.labels ?? [:]
            burst.work.append(
                .launch(
                    LaunchRequest(machine: machine, group: group, index: index, labels: labels, ticket: ticket),
                    platform))
        } catch {
            mailbox.put(.event(.launchFailed(machine: machine, reason: "no boot ticket: \(error)")))
        }
    }

    /// A rule's scale or roll-back, as a new revision of its group's record.
    func revise(_ effect: Monitor.Effect) throws {
        // A keyed request that happens to be answered meanwhile did not ask for this.
        try RequestMark.$current.withValue(nil) {
            switch effect {
            case .scale(let group, let count, let rule):
                try revise(group, by: "rule \(rule)") { try scale(group, to: count, by: rule) }
            case .goBack(let group, let revision, let why, let person):
                try revise(group, by: person) { try rollBack(group, to: revision, by: person, reason: why) }
            default: break
            }
        }
    }

    /// What is refused, such as a roll-back where there is nothing to go back to, changes nothing and stands in the history.
    private func revise(_ group: String, by person: String, _ change: () throws -> Void) throws {
        do { try change() } catch let refusal as Refusal where stall == nil {
            try transact { _, burst in
                burst.changes.append(
                    .event(
                        EventEntry(
                            at: burst.wall, group: group, machine: nil, kind: .ruleLimited, actor: person,
                            message: "\(person) changes nothing: \(refusal.message)",
                            facts: person.hasPrefix("rule ") ? ["rule": String(person.dropFirst(5))] : [:])))
            }
        }
    }
}
