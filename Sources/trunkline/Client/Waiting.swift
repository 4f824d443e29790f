import ArgumentParser
import Client
import Fleet
import Foundation

/// `--wait` and `--timeout`
struct WaitOptions: ParsableArguments {
    @Flag(help: "Wait until it is done; say which machine is when, and which is not and why.") var wait = false
    @Option(help: "How long to wait.") var timeout = TimeSpan.minutes(5)

    /// The group as it is when every machine is verified; as it is now where nobody waits.
    ///
    /// - Parameter revision: what was asked for: where another takes its place meanwhile, that has failed.
    func verified(_ group: GroupView, _ client: TrunklineClient) async throws -> GroupView {
        guard wait else { return group }
        return try await Waiting(client: client, group: group.name, limit: timeout).untilVerified(group.revision)
    }

    func stopped(_ group: GroupView, _ client: TrunklineClient) async throws -> GroupView {
        guard wait else { return group }
        return try await Waiting(client: client, group: group.name, limit: timeout).untilStopped()
    }

    /// A machine as it is when this is true of it, or of the one in its place.
    func until(
        _ machine: MachineView, _ client: TrunklineClient, _ what: String,
        _ isDone: (MachineView) -> Bool
    ) async throws -> MachineView {
        guard wait else { return machine }
        return try await Waiting(client: client, group: machine.group, limit: timeout).until(machine, what, isDone)
    }
}

/// Waits for a group, and tells on standard error how far it is: a line for each machine, and what it waits for.
struct Waiting {
    private let client: TrunklineClient
    private let group: String
    private let limit: TimeSpan
    private let began = ContinuousClock.now

    init(client: TrunklineClient, group: String, limit: TimeSpan) {
        self.client = client
        self.group = group
        self.limit = limit
    }

    func untilVerified(_ revision: Int) async throws -> GroupView {
        var done: Set<String> = []
        var said = ""
        while true {
            let view = try await client.group(group)
            guard view.revision == revision else {
                let newest = try await client.revisions(group).first
                throw Failure(
                    "\(group) is at revision \(view.revision), not \(revision) any more: \(newest?.by ?? "somebody") changed it\(newest.map { $0.reason.isEmpty ? "" : ", \($0.reason)" } ?? "")"
                )
            }
            let machines = try await client.allMachines(group: group)
            let rollout = try await lastRollout()
            let verified = Set(machines.filter { $0.verified && rollout?.isOk($0.id) ?? true }.map(\.id))
            let total = max(view.status.desired, verified.count)
            for id in verified.subtracting(done).sorted() {
                done.insert(id)
                Note.line("[\(done.count)/\(total)] \(id) verified after \(elapsed.words)".forPeople())
            }
            done.formIntersection(verified)
            let waits = view.status.holding ?? rollout?.waits ?? view.status.phase.rawValue
            switch view.status.phase {
            case .converged: return view
            case .defined, .stopped:
                throw Failure("\(group) does not run; start it with: trunkline group start \(group)")
            case .paused:
                throw Failure("\(group) is paused\(rollout?.why.map { ": \($0)" } ?? "")\n\(try await unfinished())")
            case .degraded, .converging, .rolling: break
            }
            // Until when, and for how long already, is no news.
            let what = String(waits.prefix { $0 != ";" }).replacing(/[0-9]+(ms|s|m|h|d)/, with: "")
            if what != said {
                said = what
                Note.line("\(group): \(waits)".forPeople())
            }
            guard elapsed < limit else {
                throw Failure("\(group) is not verified after \(limit.words):\n\(try await unfinished())")
            }
            try await Task.sleep(for: .milliseconds(300))
        }
    }

    func untilStopped() async throws -> GroupView {
        var said = -1
        while true {
            let view = try await client.group(group)
            guard view.state == .stopped else { throw Failure("\(group) was started again") }
            if view.status.phase == .stopped { return view }
            let machines = try await client.allMachines(group: group)
            let left = machines.count { $0.state != .stopped && $0.state != .idle && $0.awaySince == nil }
            if left != said {
                said = left
                Note.line("[\(machines.count - left)/\(machines.count)] stopped after \(elapsed.words)")
            }
            guard elapsed < limit else {
                throw Failure("\(group) has not stopped after \(limit.words):\n\(try await unfinished())")
            }
            try await Task.sleep(for: .milliseconds(300))
        }
    }

    func until(_ machine: MachineView, _ what: String, _ isDone: (MachineView) -> Bool) async throws -> MachineView {
        var said = ""
        while true {
            let found = try await client.allMachines(group: group).filter { $0.index == machine.index }
            if let done = found.first(where: isDone) {
                Note.line("\(done.id): \(what) after \(elapsed.words)".forPeople())
                return done
            }
            let now = found.map { "\($0.id) \($0.shownState)" }.joined(separator: ", ")
            if now != said {
                said = now
                Note.line(now.forPeople())
            }
            guard elapsed < limit else {
                let why = try? await client.explain(found.first?.id ?? machine.id).summary
                throw Failure(
                    "\(machine.id): not \(what) after \(limit.words)\(why.map { "\n\($0.forPeople())" } ?? "")")
            }
            try await Task.sleep(for: .milliseconds(300))
        }
    }

    private var elapsed: TimeSpan {
        let span = ContinuousClock.now - began
        return TimeSpan(
            milliseconds: span.components.seconds * 1000 + span.components.attoseconds / 1_000_000_000_000_000)
    }

    /// Nil: there was none.
    private func lastRollout() async throws -> RolloutView? {
        do { return try await client.rollout(group) } catch let error as ClientError where error.status == 404 {
            return nil
        }
    }

    /// Which machine is not as it should be, and why.
    private func unfinished() async throws -> String {
        let why = try await client.explain(group: group)
        let machines = why.machines.prefix(10).map { "  \($0.machine) (\($0.state.rawValue)): \($0.standing)" }
        let waits = why.waits.map { "  waits for: \($0.what)" }
        return (waits + machines).map { $0.forPeople() }.joined(separator: "\n")
    }
}

extension RolloutView {
    /// It has what the rollout brings, or is none of its machines.
    fileprivate func isOk(_ id: String) -> Bool {
        machines.first { $0.machine == id }.map { $0.standing == .ok } ?? true
    }
}
