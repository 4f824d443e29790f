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
        var progress = Progress()
        var said = ""
        let view = try await seen { picture, item in
            guard let view = picture.groups[group] else { throw Failure("\(group) was removed") }
            guard view.revision == revision else {
                let newest = try await client.revisions(group).first
                throw Failure(
                    "\(group) is at revision \(view.revision), not \(revision) any more: \(newest?.by ?? "somebody") changed it\(newest.map { $0.reason.isEmpty ? "" : ", \($0.reason)" } ?? "")"
                )
            }
            let rollout = picture.rollouts[group]
            for (count, id) in progress.take(item, picture, of: view) {
                Note.line(
                    "[\(count)/\(max(view.status.desired, count))] \(id) verified after \(elapsed.words)".forPeople())
            }
            switch view.status.phase {
            case .converged: return view
            case .defined, .stopped:
                throw Failure("\(group) does not run; start it with: trunkline group start \(group)")
            case .paused:
                throw Failure("\(group) is paused\(rollout?.why.map { ": \($0)" } ?? "")\n\(try await unfinished())")
            case .degraded, .converging, .rolling: break
            }
            let waits = view.status.holding ?? rollout?.waits ?? view.status.phase.rawValue
            // Until when, and for how long already, is no news.
            let what = String(waits.prefix { $0 != ";" }).replacing(/[0-9]+(ms|s|m|h|d)/, with: "")
            if what != said {
                said = what
                Note.line("\(group): \(waits)".forPeople())
            }
            return nil
        }
        guard let view else {
            throw Failure("\(group) is not verified after \(limit.words):\n\(try await unfinished())")
        }
        return view
    }

    func untilStopped() async throws -> GroupView {
        var said = -1
        let view = try await seen { picture, _ in
            guard let view = picture.groups[group] else { throw Failure("\(group) was removed") }
            guard view.state == .stopped else { throw Failure("\(group) was started again") }
            if view.status.phase == .stopped { return view }
            let machines = picture.machines(of: group)
            let left = machines.count { $0.state != .stopped && $0.state != .idle && $0.awaySince == nil }
            if left != said {
                said = left
                Note.line("[\(machines.count - left)/\(machines.count)] stopped after \(elapsed.words)")
            }
            return nil
        }
        guard let view else {
            throw Failure("\(group) has not stopped after \(limit.words):\n\(try await unfinished())")
        }
        return view
    }

    func until(_ machine: MachineView, _ what: String, _ isDone: (MachineView) -> Bool) async throws -> MachineView {
        var said = ""
        var last = machine.id
        let done = try await seen { picture, _ in
            let found = picture.machines(of: group).filter { $0.index == machine.index }
            if let done = found.first(where: isDone) {
                Note.line("\(done.id): \(what) after \(elapsed.words)".forPeople())
                return done
            }
            last = found.first?.id ?? last
            let now = found.map { "\($0.id) \($0.shownState)" }.joined(separator: ", ")
            if now != said {
                said = now
                Note.line(now.forPeople())
            }
            return nil
        }
        guard let done else {
            let why = try? await client.explain(last).summary
            throw Failure("\(machine.id): not \(what) after \(limit.words)\(why.map { "\n\($0.forPeople())" } ?? "")")
        }
        return done
    }

    /// Looks at the group at each change until `judge` has an answer; nil: the time is over.
    private func seen<Answer>(_ judge: (LivePicture, WatchItem) async throws -> Answer?) async throws -> Answer? {
        var picture = LivePicture()
        for try await sight in client.watch(group: group, hasMetrics: false, limit: limit) {
            let wasLost = picture.lost != nil
            picture.take(sight)
            switch sight {
            case .lost(let why): if !wasLost { Note.line("not connected, trying again: \(why)".forPeople()) }
            case .item(let item):
                guard picture.isWhole else { continue }
                if let answer = try await judge(picture, item) { return answer }
            }
        }
        return nil
    }

    /// Which machines were told to be verified.
    private struct Progress {
        private var done: Set<String> = []
        /// Whom the rollout has not seen to the end.
        private var unfinished: Set<String> = []

        /// Who is verified since the last time, and how many are then.
        mutating func take(_ item: WatchItem, _ picture: LivePicture, of group: GroupView) -> [(Int, String)] {
            let isDone = group.status.phase == .converged
            var looked: [MachineView] = []
            switch item {
            case .machine(let machine): looked = [machine]
            case .removed(let gone): if let id = gone.machine { done.remove(id) }
            case .group where !isDone: break
            case .rollout, .ready, .group:
                looked = picture.machines(of: group.name)
                let machines = isDone ? [] : picture.rollouts[group.name]?.machines ?? []
                unfinished = Set(machines.filter { $0.standing != .ok }.map(\.machine))
            case .snapshot, .event: break
            }
            var told: [(Int, String)] = []
            for machine in looked {
                guard machine.verified, !unfinished.contains(machine.id) else {
                    done.remove(machine.id)
                    continue
                }
                if done.insert(machine.id).inserted { told.append((done.count, machine.id)) }
            }
            return told
        }
    }

    private var elapsed: TimeSpan {
        let span = ContinuousClock.now - began
        return TimeSpan(
            milliseconds: span.components.seconds * 1000 + span.components.attoseconds / 1_000_000_000_000_000)
    }

    /// Which machine is not as it should be, and why.
    private func unfinished() async throws -> String {
        let why = try await client.explain(group: group)
        let machines = why.machines.prefix(10).map { "  \($0.machine) (\($0.state.rawValue)): \($0.standing)" }
        let waits = why.waits.map { "  waits for: \($0.what)" }
        return (waits + machines).map { $0.forPeople() }.joined(separator: "\n")
    }
}
