import Fleet

extension StatusView {
    /// Adds one group to what is counted, and to what waits for a person.
    mutating func take(_ name: String, _ group: LiveView.Group) {
        let status = group.status
        groups[status.phase.rawValue, default: 0] += 1
        machines.present += status.present
        machines.verified += status.verified
        machines.failed += status.failed
        machines.away += status.away
        func say(_ what: String) {
            guard attention.count < Self.listed else { return }
            attention.append(Attention(group: name, what: what))
        }
        if group.record.paused { say("it is paused: no rule acts until a person resumes it") }
        if let rollout = group.rollout {
            let name = "rollout \(rollout.number) (\(rollout.what))"
            if rollout.phase == .waiting { say("\(name) is to be promoted or aborted") }
            if rollout.phase == .paused {
                say("\(name) is paused\(rollout.why.map { ": \($0)" } ?? ""); it is to be resumed or aborted")
            }
        }
        if let holding = status.holding { say(holding) }
        if status.phase == .degraded { say("\(status.failed) machines failed, \(status.away) are away") }
    }
}
