import Fleet
import Monitor

/// The platform: launches and releases machines, says what it runs, and is wrong about it at times.
extension FleetSimulator {
    enum LaunchMood: Hashable {
        case fails
        /// Says that it failed; the machine comes up all the same, after so long.
        case liesAndComesUp(after: TimeSpan)
        /// Does not say; the machine comes up, or not.
        case unsure(comesUp: Bool)
        /// It is launched, and never comes up.
        case dead
        /// It takes so long until it registers.
        case slow(TimeSpan)
    }

    mutating func launch(_ id: String, _ index: Int) {
        // Released meanwhile, or the same launch again after the manager was killed.
        guard !released.contains(id) else { return tell(.launchFailed(machine: id, reason: "it was released")) }
        guard machines[id] == nil else { return tell(.launched(machine: id)) }
        guard !launchMoods.isEmpty else {
            machines[id] = Machine()
            tell(.launched(machine: id))
            return later(between(200, 5000), .wake(id))
        }
        let mood = launchMoods.removeFirst()
        write("launch of \(id): \(mood)")
        switch mood {
        case .fails: tell(.launchFailed(machine: id, reason: "no room"))
        case .liesAndComesUp(let span):
            tell(.launchFailed(machine: id, reason: "no room"))
            later(span, .comesUpLate(id))
        case .unsure(let comesUp):
            if comesUp { comeUp(id) }
            tell(.launchFailed(machine: id, reason: "timed out", isCertain: false))
        case .dead:
            machines[id] = Machine(isUp: false, unreachableSince: now)
            tell(.launched(machine: id))
        case .slow(let span):
            machines[id] = Machine()
            tell(.launched(machine: id))
            later(span, .wake(id))
        }
    }

    mutating func comeUp(_ id: String) {
        guard machines[id] == nil, !released.contains(id) else { return }
        machines[id] = Machine()
        later(between(200, 5000), .wake(id))
    }

    mutating func release(_ id: String) {
        machines[id] = nil
        released.insert(id)
        later(between(1, 100), .event(.released(machine: id)))
    }

    mutating func answerList(_ asked: Timestamp) {
        guard !isPlatformSilent else {
            return later(between(10, 30_000), .event(.listFailed(platform: platform, reason: "its driver is gone")))
        }
        let ours = machines.filter { !$0.key.hasPrefix("edge-x") }
        later(
            between(1, 3000),
            .event(
                .listed(
                    platform: platform, running: Set(ours.filter(\.value.isUp).keys),
                    remains: Set(ours.filter { !$0.value.isUp }.keys), asked: asked)))
    }

    /// Somebody brings a machine of their own.
    mutating func invite() {
        invitations += 1
        let id = "edge-x\(invitations)"
        machines[id] = Machine()
        boot(id)
    }
}
