import Fleet
import Monitor
import Records

/// How a change goes through, and people's words on it.
extension Control {
    /// The group's last rollout, as it stands now.
    func rollout(_ name: String) async throws -> RolloutView {
        drain()
        _ = try row(name)
        guard let view = monitor.rolloutView(name, at: .now, shift: clock.shift) else {
            throw Refusal(code: .notFound, message: "Group \(name) has had no rollout: nothing of it was ever changed.")
        }
        return view
    }

    nonisolated func watch(_ request: WatchRequest) async throws -> AsyncThrowingStream<WatchBatch, any Error> {
        try queries.watch(request) { [weak self] name in await self?.committedRollout(name) }
    }

    /// As it is after the last commit; nil where there was none.
    private func committedRollout(_ name: String) -> RolloutView? {
        isAhead ? nil : monitor.rolloutView(name, at: clock.now, shift: clock.shift)
    }

    /// Newest first, without machines.
    nonisolated func rollouts(_ name: String) async throws -> [RolloutView] {
        let shift = clock.shift
        return try await queries.reading { try $0.rollouts(of: name) }.map { RolloutView($0, shift: shift) }
    }

    func instruct(
        rolloutOf name: String, _ instruction: RolloutInstruction, because why: String?, by caller: Caller
    ) async throws -> RolloutView {
        try transact { control, burst in
            _ = try control.row(name)
            let word: Monitor.Event.RolloutWord =
                switch instruction {
                case .promote: .promote(by: caller.name)
                case .pause: .pause(by: caller.name, why: why)
                case .resume: .resume(by: caller.name)
                case .abort: .abort(by: caller.name, why: why)
                }
            if let refusal = control.monitor.refusal(ofRollout: word, in: name) {
                throw Refusal(code: .conflict, message: "\(instruction.rawValue): \(refusal).")
            }
            let number = control.monitor.rollout(name)?.number ?? 0
            burst.note(
                .rolloutInstructed, by: caller, group: name,
                "\(instruction.rawValue) of rollout \(number) asked for" + (why.map { ": \($0)" } ?? ""),
                facts: ["instruction": instruction.rawValue, "rollout": "\(number)"],
                after: ["instruction": instruction.rawValue, "reason": why ?? ""])
            control.advance(.rollout(name, word), in: &burst)
        }
        return try await rollout(name)
    }
}
