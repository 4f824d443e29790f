import Synchronization

/// What a fleet has seen so far. Bounded: by the machines, and by `mostWords` sentences.
package final class Tally: Sendable {
    package struct Counts: Sendable {
        package var registrations: [Duration] = []
        /// When the last of them was, since the fleet's start.
        package var lastRegistration = Duration.zero
        package var mends: [Duration] = []
        /// So long after the switch was asked for, by machine: of two with one identity the first counts.
        package var switches: [String: Duration] = [:]
        package var statuses = 0
        package var orders = 0
        package var parts = 0
        package var messagesOut = 0
        package var messagesIn = 0
        package var bytesOut = 0
        package var bytesIn = 0
        package var lostConnections = 0
        package var refusedConnections = 0
        package var twins = 0
        package var notUnderstood = 0
        /// The first of what was not understood.
        package var words: [String] = []
        fileprivate var switching: (since: Duration, before: String)?
    }

    private static let mostWords = 20
    private let counts = Mutex(Counts())

    package var now: Counts { counts.withLock { $0 } }

    func came(_ bytes: Int) {
        counts.withLock {
            $0.messagesIn += 1
            $0.bytesIn += bytes
        }
    }

    func went(_ bytes: Int) {
        counts.withLock {
            $0.messagesOut += 1
            $0.bytesOut += bytes
        }
    }

    /// Whoever comes to run something else than `before` from now on has switched.
    func switches(from before: String, at now: Duration) {
        counts.withLock {
            $0.switching = (now, before)
            $0.switches = [:]
        }
    }

    func note(_ finding: MachineModel.Finding, of machine: String, at now: Duration) {
        counts.withLock { counts in
            switch finding {
            case .registered(let took):
                counts.registrations.append(took)
                counts.lastRegistration = now
            case .refusedConnection: counts.refusedConnections += 1
            case .lostConnection: counts.lostConnections += 1
            case .status: counts.statuses += 1
            case .order: counts.orders += 1
            case .part: counts.parts += 1
            case .mended(let took): counts.mends.append(took)
            case .running(let digest):
                if let switching = counts.switching, digest != switching.before, counts.switches[machine] == nil {
                    counts.switches[machine] = now - switching.since
                }
            case .twin: counts.twins += 1
            case .notUnderstood(let what):
                counts.notUnderstood += 1
                if counts.words.count < Self.mostWords { counts.words.append("\(machine): \(what)") }
            }
        }
    }
}
