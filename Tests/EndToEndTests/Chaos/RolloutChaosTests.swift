import Client
import Fleet
import Foundation
import TestSupport
import Testing

@Suite("Changes to a fleet under calls while what manages it is in trouble", .serialized)
struct RolloutChaosTests {
    @Test(
        "By seed: switches, bad releases and aborts go on while manager, broker and a machine are killed: no call is cut, enough serve, and each ends where it must",
        .timeLimit(.minutes(15)))
    func bySeed() async throws {
        let environment = ProcessInfo.processInfo.environment
        let seconds = environment["CHAOS_SECONDS"].flatMap { Int($0) } ?? 25
        let seed = environment["CHAOS_SEED"].flatMap { UInt64($0) } ?? 1
        try await RolloutChaos.run(seconds: seconds, seed: seed)
    }
}

/// Three machines of voice behind a balancer and a fourth that nobody calls and that may be killed; the same seed asks for the same changes
/// and makes the same trouble.
struct RolloutChaos {
    enum Change: CaseIterable {
        /// To the other good version.
        case switched
        /// To a version that does not start: the group goes back by itself.
        case bad
        /// To the other good version, and taken back by a person at once, or when some machines run it.
        case aborted, abortedLate
    }

    enum Trouble: CaseIterable {
        case managerKilled, managerFrozen, brokerKilled, brokerForgets, brokerFrozen, machineKilled
    }

    static let keep = 2
    static let versions = ["5.6.3", "5.6.4"]
    static let bad = "5.6.5"
    static let victim = 3

    let installation: Installation
    let watch: ServiceWatch
    let began = ContinuousClock.now

    static func run(seconds: Int, seed: UInt64) async throws {
        try await Installation.with { installation, client in
            try await installation.push("kamailio", client)
            try await installation.pushNext("5.6.4", client)
            try await installation.pushNext(bad, client) { directory in
                try "#!/bin/sh\nexit 1\n".write(
                    to: directory.appending(path: "start.sh"), atomically: false, encoding: .utf8)
            }
            _ = try await client.createGroup(record("5.6.3", installation))
            _ = try await client.instruct(group: "voice", .start)
            try await client.converged("voice")
            let calls = try BalancedCalls(installation, machines: victim)
            defer { calls.kill() }
            try await calls.areUp()
            let watch = ServiceWatch(ports: (0...victim).map { installation.basePort + $0 })
            defer { _ = watch.end() }
            let chaos = RolloutChaos(installation: installation, watch: watch)
            print("chaos: seed \(seed), \(seconds) s of changes under calls")
            let deadline = chaos.began.advanced(by: .seconds(seconds))
            async let trouble: Void = chaos.makeTrouble(until: deadline, seed)
            let changes = try await chaos.change(until: deadline, seed)
            try await trouble
            let seen = watch.end()
            let said = try await calls.ended()
            chaos.say("\(changes) changes; \(seen.least) served at least in \(seen.samples) looks; \(said)")
            #expect(changes > 0 && seen.samples > 0)
            #expect(seen.least >= keep, "so many took new calls at any time")
            #expect(said.contains("\"ok\": true"), "\(said)")
        }
    }

    private static func record(_ version: String, _ installation: Installation) -> String {
        """
        group "voice" {
          service   = voice
          software  = "kamailio@\(version)"
          heartbeat = 1s
          machines { count = \(victim + 1)  platform = local }
          env = { BIND = "127.0.0.1", SIP_PORT = \(installation.basePort) + machine.index, REALM = "example.net" }
          rollout {
            batch      = 75%
            # Longer than the balancer takes to see that it takes calls again.
            settle     = 2s
            max_failed = 1
            on_failure = rollback
            drain { until = metric("calls") == 0  at_most = 5m  keep = \(keep) }
          }
          rule "deliver" { when software.digest != group.digest    then deliver }
          rule "replace" { when machine.state == away for 12s      then replace }
        }
        """
    }

    // MARK: Changes

    /// One after the other; how many there were.
    private func change(until deadline: ContinuousClock.Instant, _ seed: UInt64) async throws -> Int {
        var generator = SeededGenerator(seed: seed)
        // Each kind as early as any other.
        var left: [Change] = []
        var (current, count) = (Self.versions[0], 0)
        while ContinuousClock.now < deadline {
            if left.isEmpty { left = Change.allCases.shuffled(using: &generator) }
            let change = left.removeLast()
            let other = Self.versions.first { $0 != current } ?? current
            let asked = change == .bad ? Self.bad : other
            say("\(change): \(current) → \(asked)")
            let before = try await patiently { try await $0.rollout("voice").number }
            try await patiently { client in
                guard try await client.rollout("voice").number == before else { return }
                _ = try await client.changeGroup("voice", to: Self.record(asked, installation))
            }
            if change == .aborted { try await abort(before + 1) }
            if change == .abortedLate { try await abort(before + 1, whenSomeRunIt: true) }
            let ended = try await end(of: before + 1)
            // It may have been through before the word came.
            if ended.phase == .done { current = asked }
            #expect(change != .switched || ended.phase == .done, "\(ended.phase): \(ended.why ?? "")")
            #expect(change != .bad || ended.phase == .failed, "\(ended.phase): \(ended.why ?? "")")
            try await converged(at: current)
            say("\(change) is over: \(ended.phase)")
            count += 1
        }
        return count
    }

    private func abort(_ number: Int, whenSomeRunIt isLate: Bool = false) async throws {
        try await patiently { client in
            let rollout = try await client.rollout("voice")
            guard rollout.number == number, rollout.phase == .rolling || rollout.phase == .paused else { return }
            guard !isLate || rollout.ok > 0 else { throw Unexpected("nobody runs it yet") }
            do { _ = try await client.instruct(rolloutOf: "voice", .abort, because: "the test says so") } catch let
                error
                as ClientError where error.status == 409
            {}
        }
    }

    /// That rollout, once it is over.
    private func end(of number: Int) async throws -> RolloutView {
        try await patiently { client in
            guard let ended = try await client.rollouts("voice").first(where: { $0.number == number }),
                ended.ended != nil
            else { throw Unexpected("rollout \(number) goes on: \(try await client.rollout("voice").waits ?? "")") }
            return ended
        }
    }

    /// Every machine is verified with it, and the record says it.
    private func converged(at version: String) async throws {
        try await patiently { client in
            let group = try await client.group("voice")
            let machines = try await client.allMachines(group: "voice")
            guard group.status.phase == .converged, machines.count == Self.victim + 1,
                machines.allSatisfy({ $0.verified && $0.software?.version == version })
            else {
                throw Unexpected(
                    "not all at \(version): \(group.status), \(machines.map { "\($0.id) \($0.state) \($0.software?.version ?? "")" })"
                )
            }
        }
    }

    /// The manager may be away at any moment, and comes back.
    @discardableResult
    private func patiently<Answer>(_ body: (TrunklineClient) async throws -> Answer) async throws -> Answer {
        var answer: Answer?
        let isDone = try await eventually(within: .seconds(180), every: .milliseconds(100)) {
            answer = try await installation.withClient(body)
            return true
        }
        guard isDone, let answer else { throw Unexpected("no answer in time") }
        return answer
    }

    // MARK: Trouble

    private func makeTrouble(until deadline: ContinuousClock.Instant, _ seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed &+ 1_000_000)
        var left: [Trouble] = []
        while ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(.random(in: 500...4000, using: &generator)))
            if left.isEmpty { left = Trouble.allCases.shuffled(using: &generator) }
            let trouble = left.removeLast()
            let span = Duration.milliseconds(.random(in: 500...6000, using: &generator))
            say("\(trouble) for \(span)")
            try await make(trouble, for: span)
            say("over: \(trouble)")
        }
    }

    private func make(_ trouble: Trouble, for span: Duration) async throws {
        switch trouble {
        case .managerKilled:
            installation.killManager()
            try await Task.sleep(for: span)
            try await installation.startManager()
        case .managerFrozen:
            let pid = installation.managerPid
            kill(pid, SIGSTOP)
            try await Task.sleep(for: span)
            kill(pid, SIGCONT)
        case .brokerKilled, .brokerForgets:
            await installation.broker.kill()
            try await Task.sleep(for: span)
            try await installation.broker.restart(keepingPersistence: trouble == .brokerKilled)
        case .brokerFrozen:
            try installation.broker.freeze()
            try await Task.sleep(for: span)
            try installation.broker.thaw()
        case .machineKilled:
            watch.excuse(Self.victim)
            let machine = try await patiently { client in
                try await client.allMachines(group: "voice").first { $0.index == Self.victim }?.id
            }
            guard let machine else { return }
            for pid in Processes.software(of: machine, in: installation) { kill(pid, SIGKILL) }
            if let agent = Processes.agent(of: machine, in: installation) { kill(agent, SIGKILL) }
        }
    }

    private func say(_ text: String) {
        let span = began.duration(to: .now) / .milliseconds(1)
        print("chaos: \(Double(Int(span)) / 1000) s: \(text)")
    }
}
