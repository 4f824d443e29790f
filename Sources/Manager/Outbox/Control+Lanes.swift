import Fleet
import Messaging
import Monitor
import OperatingSystem
import Platforms
import Records

extension Control {
    /// Puts into the lanes what was committed, with what the monitor has to say of it now.
    ///
    /// - Parameters:
    ///   - asked: when the status came that led to a machine's order.
    ///   - sealed: orders that were sealed while they were committed.
    func handOver(_ work: [Work], asked: [String: Timestamp] = [:], sealed: [String: OrderDraft] = [:]) {
        for work in work {
            switch work {
            case .order(let machine):
                guard var draft = draft(of: machine) else { continue }
                if let ahead = sealed[machine], draft.isSame(as: ahead) { draft.sealed = ahead.sealed }
                draft.asked = asked[machine]
                lanes.publications.put(.order(draft), for: machine)
            case .clearTopics(let group, let machine, let after):
                lanes.publications.put(.clear(group: group, machine: machine, after: after), for: machine)
            case .answer(let machine, let message): lanes.publications.put(.answer(message), for: machine)
            case .launch(let request, let platform):
                lanes.put(.launch(request), of: request.machine, on: platform)
            case .release(let machine, let platform):
                lanes.put(.release(machine: machine, isKnown: true), of: machine, on: platform)
            case .releaseUnknown(let machine, let platform):
                lanes.put(.release(machine: machine, isKnown: false), of: machine, on: platform)
            case .list(let platform): lanes.listings.put(platform, for: platform)
            case .receiving(let status):
                let wanted = partRequest(of: status).map { Lanes.Delivery.receiving(status, $0) }
                lanes.deliveries.put(wanted ?? .absent(machine: status.machine), for: status.machine)
            case .absent(let machine): lanes.deliveries.put(.absent(machine: machine), for: machine)
            case .exclude(let machine, let group):
                lanes.revocations.put(.exclude(machine: machine, group: group), for: machine)
            case .revocations: lanes.revocations.put(.list, for: "")
            }
        }
    }

    /// Nil when the machine's order no longer asks for this bundle.
    private func partRequest(of status: Status) -> PartRequest? {
        guard let receiving = status.receiving, let machine = monitor.machine(status.machine),
            let order = machine.wanted.order, machine.phase == .joined, machine.judged.awaySince == nil,
            let draft = draft(of: status.machine), let group = monitor.group(status.group)
        else { return nil }
        let software: SoftwareReference
        if order.digest == receiving.digest, order.action.runs {
            software = order.software
        } else if let agent = draft.agent, (try? records.software(agent))??.digest == receiving.digest {
            software = agent
        } else {
            return nil
        }
        return PartRequest(
            software: software, key: draft.contentKey(of: receiving.digest),
            bandwidth: group.definition.rollout.bandwidth, awaited: monitor.unanswered(in: status.group))
    }
}
