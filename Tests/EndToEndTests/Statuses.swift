import Client
import Fleet
import Foundation
import Messaging
import TestSupport

/// What the machines said, in the order in which the broker heard it.
struct Statuses {
    private let statuses: [Status]
    private let metric: String

    /// - Parameter metric: what the group's drain looks at.
    init(_ tap: Wiretap, of group: String, _ metric: String) {
        self.metric = metric
        statuses = tap.messages.filter { $0.topic.hasSuffix("/status") && $0.topic.contains("/\(group)/machines/") }
            .compactMap { try? StatusMessage.decode($0.payload).status }
    }

    /// So many served at least at any time, once all did.
    func leastServing(of count: Int) -> Int {
        var states: [String: MachineState] = [:]
        var least: Int?
        for status in statuses where status.state != .away {
            states[status.machine] = status.state
            let serving = states.values.count { $0 == .running }
            if serving == count || least != nil { least = min(least ?? count, serving) }
        }
        return least ?? 0
    }

    struct Run {
        var machine: String
        var generation: Int
        var drained = false
        /// As last reported, and the most.
        var load: Double?
        var most = 0.0
    }

    /// Of software that does not run any more.
    func ended(current: [MachineView]) -> [Run] {
        var runs: [Run] = []
        for status in statuses {
            guard let software = status.software else { continue }
            let known = runs.firstIndex { $0.machine == status.machine && $0.generation == software.generation }
            var run = known.map { runs[$0] } ?? Run(machine: status.machine, generation: software.generation)
            if status.state == .draining { run.drained = true }
            if let load = status.metrics[metric] { (run.load, run.most) = (load, max(run.most, load)) }
            if let known { runs[known] = run } else { runs.append(run) }
        }
        return runs.filter { run in
            !current.contains { $0.id == run.machine && $0.software?.generation == run.generation }
        }
    }
}
