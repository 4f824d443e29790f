import Client
import Fleet
import Foundation
import Simulator
import Synchronization

/// One run: they come, what is to happen happens, they leave, and what came of it is compared with what the manager has.
final class Simulation: Sendable {
    private let span: Duration
    private let within: Duration
    private let drifts: Int
    private let rebootAfter: Duration?
    private let switchAfter: Duration?
    private let seed: UInt64
    private let behaviours: [Behaviour]
    private let group: SimulatedGroup
    private let broker: String
    private let client: TrunklineClient
    private let fleet: SimulatedFleet
    private let progress: SimulationProgress
    private let didSwitch = Mutex(false)

    /// How long what is on its way may take at the end.
    private static let patience = Duration.seconds(15)

    init(
        command: SimulateCommand, group: SimulatedGroup, ticket: BootTicket, behaviours: [Behaviour],
        _ client: TrunklineClient
    ) throws {
        span = command.span.duration
        within = command.within.duration
        drifts = command.drifts
        rebootAfter = command.rebootAllAfter?.duration
        switchAfter = command.switchAfter?.duration
        seed = command.seed
        self.behaviours = behaviours
        self.group = group
        broker = ticket.broker
        self.client = client
        do {
            fleet = try SimulatedFleet(
                .init(
                    ticket: ticket, behaviours: behaviours, seed: command.seed, ramp: command.over,
                    threads: max(1, ProcessInfo.processInfo.activeProcessorCount / 2)))
        } catch {
            throw Failure("\(error)")
        }
        progress = SimulationProgress(isShown: !command.output.quiet)
    }

    func run() async throws -> SimulationReport {
        let interrupt = Interrupt()
        var lost: [String] = []
        try await interrupt.withHandlers {
            try await interrupt.race { [self] in
                try await fleet.start()
                try await joined()
                try await goOn()
            }
            lost = try await outstanding(isInterrupted: interrupt.wasRaised)
        }
        // Before they leave: that all are away then is no news.
        let (took, counts) = (fleet.now, fleet.tally.now)
        try await fleet.end()
        progress.end()
        return SimulationReport(
            group: group.name, seed: seed, behaviours: behaviours, took: took, counts: counts, lost: lost,
            left: group.left, interrupted: interrupt.wasRaised)
    }

    private func joined() async throws {
        try await wait("joined") { $0.registered == $0.machines && $0.settled >= reliable }
    }

    private var steady: Int { behaviours.count { $0 == .steady } }
    private var reliable: Int { behaviours.count(where: \.staysConnected) }

    /// Until it is so, or `within` is over: what is missing then stands in the report.
    private func wait(_ what: String, _ isDone: (SimulatedFleet.Standing) -> Bool) async throws {
        let end = ContinuousClock.now + within
        let warnAt = ContinuousClock.now + .seconds(5)
        var isWarned = false
        while true {
            let standing = try await fleet.standing()
            progress.show(standing, fleet)
            if !isWarned, ContinuousClock.now >= warnAt, standing.connected == 0, fleet.tally.now.refusedConnections > 0
            {
                isWarned = true
                progress.say(
                    "no connection with the broker, \(broker), comes about: does it run, and can it be reached?")
            }
            if isDone(standing) {
                return progress.say("all have \(what) \(TimeSpan(fleet.now).words) after the start")
            }
            guard ContinuousClock.now < end else {
                return progress.say("not all of them have \(what) after \(TimeSpan(within).words)")
            }
            try await Task.sleep(for: .milliseconds(250))
        }
    }

    /// What is to happen while they are there.
    private func goOn() async throws {
        let began = ContinuousClock.now
        var reboot = rebootAfter
        var change = switchAfter
        var drifted = 0
        var place = 0
        var shown = began
        while true {
            let now = ContinuousClock.now - began
            if let at = reboot, at <= now {
                reboot = nil
                progress.say("all machines are cut off")
                try await fleet.rebootAll()
            }
            if let at = change, at <= now, let next = group.next {
                change = nil
                progress.say("the group is given other software")
                fleet.noteSwitch(from: group.digest)
                didSwitch.withLock { $0 = true }
                _ = try await client.changeGroup(group.name, to: next.record)
            }
            let due = now >= span ? drifts : Int(Double(drifts) * (now / span))
            while drifted < due, let index = try await fleet.drift(from: place) {
                drifted += 1
                place = (index + 1) % behaviours.count
            }
            if ContinuousClock.now - shown >= .milliseconds(250) {
                progress.show(try await fleet.standing(), fleet)
                shown = .now
            }
            if now >= span { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        // What was begun is waited for.
        if let next = group.next, switchAfter != nil {
            try await wait("switched") { $0.running[next.digest] ?? 0 >= steady }
        } else if rebootAfter != nil {
            try await wait("come back") { $0.settled >= reliable }
        }
        // Drifts for which nobody was free while all were busy with something else.
        let end = ContinuousClock.now + Self.patience
        while drifted < drifts, ContinuousClock.now < end {
            if let index = try await fleet.drift(from: place) {
                drifted += 1
                place = (index + 1) % behaviours.count
            } else {
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    /// What was expected and did not come; what is on its way is waited for.
    private func outstanding(isInterrupted: Bool) async throws -> [String] {
        let end = ContinuousClock.now + (isInterrupted ? .seconds(2) : Self.patience)
        while true {
            let lost = try await compare(isInterrupted: isInterrupted)
            if lost.isEmpty || ContinuousClock.now >= end { return lost }
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    private func compare(isInterrupted: Bool) async throws -> [String] {
        let known = Dictionary(
            try await client.allMachines(group: group.name).map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first }
        )
        let wanted = didSwitch.withLock { $0 } ? group.next?.digest : nil
        var lost: [String] = []
        for member in try await fleet.members() {
            // Whose connection breaks by itself may be told anything later.
            guard member.staysConnected else { continue }
            guard let machine = known[member.id], member.generation > 0 else {
                if !isInterrupted { lost.append("\(member.id) did not get in") }
                continue
            }
            if machine.generation > member.generation {
                lost.append("\(member.id): order \(machine.generation) did not come; it has \(member.generation)")
            }
            if member.waitsForOrder { lost.append("\(member.id) says that it runs something else, and has no order") }
            if machine.awaySince != nil, member.isConnected {
                lost.append("\(member.id) is away to the manager, and is connected")
            }
            if let wanted, member.behaviour == .steady, member.runs != wanted, !isInterrupted {
                lost.append("\(member.id) was not told to run the other software")
            }
        }
        return lost
    }
}

/// How it goes, on standard error: a line that is written anew at a terminal, a line every five seconds elsewhere.
final class SimulationProgress: Sendable {
    private struct State {
        var said: ContinuousClock.Instant?
        var statuses = 0
        var at = ContinuousClock.now
        var rate = 0
    }

    private let isShown: Bool
    private let state = Mutex(State())

    init(isShown: Bool) { self.isShown = isShown }

    func show(_ standing: SimulatedFleet.Standing, _ fleet: SimulatedFleet) {
        guard isShown else { return }
        let counts = fleet.tally.now
        let line: String? = state.withLock { state in
            let now = ContinuousClock.now
            if now - state.at >= .seconds(1) {
                state.rate = Int(Double(counts.statuses - state.statuses) / ((now - state.at) / .seconds(1)))
                (state.statuses, state.at) = (counts.statuses, now)
            }
            guard Terminal.isError || state.said.map({ now - $0 >= .seconds(5) }) ?? true else { return nil }
            state.said = now
            return
                "\(TimeSpan(fleet.now).words)  registered \(standing.registered)/\(standing.machines)  connected \(standing.connected)  settled \(standing.settled)  \(state.rate) statuses/s  drifts mended \(counts.mends.count)\(counts.switches.isEmpty ? "" : "  switched \(counts.switches.count)")"
        }
        guard let line else { return }
        Note.write(Terminal.isError ? "\r\(line)\u{1B}[K" : line + "\n")
    }

    func say(_ text: String) {
        guard isShown else { return }
        Note.write(Terminal.isError ? "\r\(text)\u{1B}[K\n" : text + "\n")
    }

    func end() { if isShown, Terminal.isError { Note.write("\r\u{1B}[K") } }
}

extension TimeSpan {
    init(_ duration: Duration) { self.init(milliseconds: Int64(duration / .milliseconds(1))) }
}
