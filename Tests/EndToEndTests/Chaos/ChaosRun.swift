import Client
import Fleet
import Foundation
import Synchronization
import TestSupport
import Testing

/// A live fleet under trouble that a seed chooses: the same seed makes the same trouble in the same order.
///
/// What is counted is lost by the manager's doing: machines that the run itself killed something on are left out, and there it is enough
/// that all comes right again.
struct ChaosRun {
    enum Trouble: Hashable {
        case brokerKilled(forgetting: Bool), brokerStopped, brokerFrozen
        case managerKilled, managerStopped, managerFrozen
        /// Every machine's way to the broker: connections cut and refused, or silent.
        case cutOff, silent
        /// More than `away_limit` of the voice group's agents stop.
        case manyFrozen
        /// One agent stops for less time than its group's rules wait.
        case oneFrozen(Int)
        case diskFull
        /// The manager's time of day, by so many seconds; over when the clock is right again.
        case clockStepped(Int64)
        /// Not the manager's doing: what runs on one machine is killed, or its agent.
        case softwareKilled(Int), agentKilled(Int)

        /// What the same thing cannot suffer at the same time.
        var place: Int {
            switch self {
            case .brokerKilled, .brokerStopped, .brokerFrozen: 0
            case .managerKilled, .managerStopped, .managerFrozen: 1
            case .cutOff, .silent: 2
            case .manyFrozen, .oneFrozen, .softwareKilled, .agentKilled: 3
            case .diskFull: 4
            case .clockStepped: 5
            }
        }

        /// It ends as soon as it began.
        var isInstant: Bool {
            switch self {
            case .softwareKilled, .agentKilled: true
            default: false
            }
        }
    }

    static let heartbeat = "1s"
    static let lostAfter = "12s"

    let installation: Installation
    let relay: Relay
    let disk: SmallDisk?
    let clock: SteppedClock?
    let fleet: LiveFleet
    let arguments: [String]
    let before: Census
    let began = ContinuousClock.now
    var harmed: Set<String> = []
    private var frozen: [Int32] = []
    private var generator: SeededGenerator

    private init(
        _ fleet: LiveFleet, _ relay: Relay, _ disk: SmallDisk?, _ clock: SteppedClock?, arguments: [String],
        before: Census, seed: UInt64
    ) {
        (self.fleet, self.relay, self.disk, self.clock) = (fleet, relay, disk, clock)
        (self.arguments, self.before) = (arguments, before)
        installation = fleet.installation
        generator = SeededGenerator(seed: seed)
    }

    static func run(seconds: Int, seed: UInt64) async throws {
        let disk = SmallDisk.isPossible ? SmallDisk() : nil
        let made = Mutex<Relay?>(nil)
        let stepped = Mutex<SteppedClock?>(nil)
        try await Installation.with(
            arguments: LiveFleet.drivers,
            prepare: { installation in
                try disk?.mount(for: installation)
                guard let clock = try SteppedClock(in: installation.directory) else { return }
                installation.setEnvironment(clock.environment)
                stepped.withLock { $0 = clock }
            },
            more: { installation in
                let relay = try Relay(to: installation.broker.port)
                made.withLock { $0 = relay }
                return ["--broker-for-machines", "mqtts://127.0.0.1:\(relay.port)"]
            }
        ) { installation, client in
            guard let relay = made.withLock({ $0 }) else { throw Unexpected("there is no relay") }
            let clock = stepped.withLock { $0 }
            if clock == nil { print("chaos: no clock is stepped, since there is no compiler to make the means for it") }
            let fleet = LiveFleet(in: installation, voice: 4, messaging: 3)
            try await fleet.start(client, heartbeat: Self.heartbeat, lostAfter: Self.lostAfter)
            let load = Load(in: installation)
            defer { load.end() }
            try await fleet.use(client, for: seconds + 15, by: load)
            // Until the calls are up and the users have registered, which Prosody writes on the disk that is filled below.
            try await Task.sleep(for: .seconds(4))
            #expect(load.isUp)
            var run = ChaosRun(
                fleet, relay, disk, clock,
                arguments: LiveFleet.drivers + ["--broker-for-machines", "mqtts://127.0.0.1:\(relay.port)"],
                before: try await fleet.census(client), seed: seed)
            print("chaos: seed \(seed), \(seconds) s, \(run.before.machines.count) machines under calls and sessions")
            try await run.makeTrouble(until: run.began.advanced(by: .seconds(seconds)))
            try await run.judge(load)
            try await relay.close()
        }
    }

    /// One after the other, now and then two at once.
    private mutating func makeTrouble(until deadline: ContinuousClock.Instant) async throws {
        while true {
            let left = ContinuousClock.now.duration(to: deadline).components.seconds
            guard left > 2 else { return }
            var troubles = [choose()]
            if Int.random(in: 0..<3, using: &generator) == 0 {
                let second = choose()
                if second.place != troubles[0].place { troubles.append(second) }
            }
            var ends: [(at: ContinuousClock.Instant, what: Trouble)] = []
            for trouble in troubles {
                let longest: Int64
                if case .oneFrozen = trouble { longest = 5 } else { longest = min(20, left) }
                let span = Int.random(in: 500...Int(max(longest, 1)) * 1000, using: &generator)
                say("\(trouble)\(trouble.isInstant ? "" : " for \(Double(span) / 1000) s")")
                try await begin(trouble)
                if !trouble.isInstant { ends.append((.now.advanced(by: .milliseconds(span)), trouble)) }
            }
            for end in ends.sorted(by: { $0.at < $1.at }) {
                try await Task.sleep(until: end.at)
                try await self.end(end.what)
                say("over: \(end.what)")
            }
            try await Task.sleep(for: .milliseconds(.random(in: 0...4000, using: &generator)))
        }
    }

    private mutating func choose() -> Trouble {
        let machine = Int.random(in: 0..<before.machines.count, using: &generator)
        switch Int.random(in: 0..<16, using: &generator) {
        case 0: return .brokerKilled(forgetting: Bool.random(using: &generator))
        case 1: return .brokerStopped
        case 2: return .brokerFrozen
        case 3, 4: return .managerKilled
        case 5: return .managerStopped
        case 6: return .managerFrozen
        case 7: return .cutOff
        case 8: return .silent
        case 9: return .manyFrozen
        case 10: return .oneFrozen(machine)
        case 11: return disk == nil ? .silent : .diskFull
        case 12, 13:
            let step: Int64 = Bool.random(using: &generator) ? 3600 : 31_536_000
            return clock == nil ? .silent : .clockStepped(Bool.random(using: &generator) ? step : -step)
        // One machine at most is harmed in a run: the others are to show that they were not.
        case 14: return harmed.isEmpty ? .softwareKilled(machine) : .oneFrozen(machine)
        default: return harmed.isEmpty ? .agentKilled(machine) : .managerFrozen
        }
    }

    private mutating func begin(_ trouble: Trouble) async throws {
        switch trouble {
        case .brokerKilled: await installation.broker.kill()
        case .brokerStopped: await installation.broker.stop()
        case .brokerFrozen: try installation.broker.freeze()
        case .managerKilled: installation.killManager()
        case .managerStopped: _ = try await installation.endManager()
        case .managerFrozen: kill(installation.managerPid, SIGSTOP)
        case .cutOff: relay.refuse()
        case .silent: relay.silence()
        case .manyFrozen: freeze(before.machines.filter { $0.group == "voice" }.prefix(3).map(\.id))
        case .oneFrozen(let index): freeze([before.machines[index].id])
        case .diskFull: try disk?.fill()
        case .clockStepped(let seconds): try clock?.step(by: seconds)
        case .softwareKilled(let index):
            harmed.insert(before.machines[index].id)
            for pid in before.machines[index].processes { kill(pid, SIGKILL) }
        case .agentKilled(let index):
            harmed.insert(before.machines[index].id)
            for pid in agents(of: before.machines[index].id) { kill(pid, SIGKILL) }
        }
    }

    private mutating func end(_ trouble: Trouble) async throws {
        switch trouble {
        case .brokerKilled(let forgetting): try await installation.broker.restart(keepingPersistence: !forgetting)
        case .brokerStopped: try await installation.broker.restart(keepingPersistence: true)
        case .brokerFrozen: try installation.broker.thaw()
        case .managerKilled, .managerStopped: try await installation.startManager(arguments)
        case .managerFrozen: kill(installation.managerPid, SIGCONT)
        case .cutOff, .silent: relay.serve()
        case .manyFrozen, .oneFrozen:
            for pid in frozen { kill(pid, SIGCONT) }
            frozen = []
        case .diskFull: try disk?.empty()
        case .clockStepped: try clock?.step(by: 0)
        case .softwareKilled, .agentKilled: break
        }
    }

    private mutating func freeze(_ machines: [String]) {
        frozen = machines.flatMap(agents)
        for pid in frozen { kill(pid, SIGSTOP) }
    }

    private func agents(of machine: String) -> [Int32] {
        Processes.mentioning(installation.directory.path).filter { pid in
            let command = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
            return command.range(of: Data("trunkline-agent".utf8)) != nil
                && command.range(of: Data("/\(machine)/".utf8)) != nil
        }
    }

    /// All comes right, and nobody who was let alone noticed anything.
    private func judge(_ load: Load) async throws {
        try await installation.withClient { client in
            for group in ["voice", "messaging"] { try await client.converged(group, within: .seconds(90)) }
            let outcomes = load.outcomes().filter { !harmed.contains($0.machine) }
            let made = outcomes.reduce(0) { $0 + $1.counts.made }
            let lost = outcomes.filter { !$0.isGood }
            let losses = before.losses(until: try await fleet.census(client), harmed: harmed)
            say(
                "\(made) calls and messages, \(lost.count) of \(outcomes.count) clients lost some; \(losses.count) machines suffered that were let alone"
            )
            #expect(made > 0)
            #expect(lost.isEmpty, "\(lost)")
            #expect(losses.isEmpty, "\(losses)")
        }
    }

    private func say(_ text: String) {
        let span = began.duration(to: .now) / .milliseconds(1)
        print("chaos: \(Double(Int(span)) / 1000) s: \(text)")
    }
}
