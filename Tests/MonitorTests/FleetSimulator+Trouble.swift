import Fleet
import Monitor

/// What goes wrong, and what users change meanwhile.
extension FleetSimulator {
    /// A machine that is up, if there is one.
    mutating func victim() -> String? {
        machines.filter { $0.value.isUp && !$0.value.isFrozen }.keys.sorted().randomElement(using: &generator)
    }

    mutating func makeTrouble() {
        guard inTrouble else { return }
        switch Int.random(in: 0..<16, using: &generator) {
        case 0: restartManager()
        case 1: killAfterCommit = true
        case 2, 3: killAgent()
        case 4: freeze()
        case 5, 6:
            if let id = victim(), machines[id]?.software != nil {
                machines[id]?.software?.digest = Samples.digest("f")
                say(id)
            }
        case 7, 8:
            if let id = victim(), machines[id]?.software != nil {
                machines[id]?.software?.health = .failing
                say(id)
            }
        case 9:
            if let id = victim(), machines[id]?.state == .running {
                machines[id]?.state = .failed
                machines[id]?.software = nil
                say(id)
            }
        case 10: tell(.connected)
        case 11: userOnOneMachine()
        case 12: if platform == .none { invite() }
        default: changeRecord()
        }
    }

    mutating func killAgent() {
        guard let id = victim() else { return }
        machines[id]?.isUp = false
        machines[id]?.epoch += 1
        breakConnection(of: id)
        // Where the agent alone was killed, its software runs on and is found again.
        if chance(0.5) {
            machines[id]?.software = nil
            machines[id]?.state = .stopped
        }
        if platform == .none || chance(0.5) {
            later(between(500, 60_000), .wake(id))
        } else if chance(0.7) {
            later(between(1, 500), .died(id))
        }
    }

    mutating func freeze() {
        guard let id = victim() else { return }
        machines[id]?.isFrozen = true
        if chance(0.5) { breakConnection(of: id) }
        later(between(1000, 90_000), .wake(id))
    }

    mutating func userOnOneMachine() {
        guard let id = rows.keys.sorted().randomElement(using: &generator) else { return }
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: tell(.restartMachine(id))
        case 1: if platform != .none { tell(.replaceMachine(id)) }
        default: tell(.restartGroup(Self.name))
        }
    }

    mutating func changeRecord() {
        switch Int.random(in: 0..<7, using: &generator) {
        case 0:
            let count = Int.random(in: 0...5, using: &generator)
            change(.revised) { $0.definition.machines.count = count }
        case 1, 2:
            let digest = [Samples.first, Samples.second, Samples.digest("c")].randomElement(using: &generator)
            change(.revised) { $0 = $0.asking(for: digest ?? Samples.first) }
        case 3:
            let port = Double.random(in: 1...9, using: &generator).rounded()
            change(.revised) {
                $0.definition.environment = [EnvironmentEntry(name: "PORT", value: .value(.number(port)))]
            }
        case 4:
            let heartbeat = TimeSpan.seconds(.random(in: 2...15, using: &generator))
            change(.revised) { $0.definition.heartbeat = heartbeat }
        case 5:
            let pauses = !groupRow.paused
            change(pauses ? .paused : .resumed) { $0.paused = pauses }
        default:
            let stops = groupRow.run == .running
            change(stops ? .stopped : .started) { $0.run = stops ? .stopped : .running }
        }
    }

    /// The last word of the user, and nothing breaks any more.
    mutating func calm(count: Int) {
        inTrouble = false
        killAfterCommit = false
        change(.revised) { $0.definition.machines.count = count }
        if groupRow.paused { change(.resumed) { $0.paused = false } }
        if groupRow.run != .running { change(.started) { $0.run = .running } }
        for id in machines.keys.sorted() {
            if machines[id]?.isFrozen == true { later(between(1, 5000), .wake(id)) }
        }
        while platform == .none, machines.count < count { invite() }
    }
}
