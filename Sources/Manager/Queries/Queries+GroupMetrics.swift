import Fleet

/// What groups do, for whoever watches calls: numbers of machines, rollouts, and the metrics that the record itself asks for.
extension Queries {
    private static let page = 500

    func writeMachines(of groups: [(name: String, group: LiveView.Group)], to text: inout MetricsText) {
        var states: [([String: String], Double)] = []
        var sums: [([String: String], Double)] = []
        var reporting: [([String: String], Double)] = []
        for (name, group) in groups {
            // No others: what machines name by themselves is theirs to choose, and must not become series here.
            let metrics = group.record.definition.metrics.sorted()
            let tally = tally(of: name, metrics: metrics)
            for state in MachineState.allCases {
                states.append((["group": name, "state": state.rawValue], Double(tally.states[state] ?? 0)))
            }
            for metric in metrics {
                let labels = ["group": name, "metric": metric]
                sums.append((labels, tally.sums[metric]?.sum ?? 0))
                reporting.append((labels, Double(tally.sums[metric]?.count ?? 0)))
            }
        }
        text.family(
            "group_state_machines", .gauge, "Machines of a group by the state that they are in: each is in one.", states
        )
        text.family(
            "group_metric_sum", .gauge,
            "Metrics of the software that the group's record names, added up over machines that are present.", sums)
        text.family(
            "group_metric_machines", .gauge, "How many present machines report them.", reporting)
        text.family(
            "group_rollout", .gauge, "1 in the phase that the group's last rollout is in, 0 in the others.",
            groups.flatMap { name, group in
                group.rollout.map { rollout in
                    RolloutRecord.Phase.allCases.map { phase in
                        (["group": name, "phase": phase.rawValue], phase == rollout.phase ? 1 : 0)
                    }
                } ?? []
            })
    }

    private struct MachineTally {
        var states: [MachineState: Int] = [:]
        var sums: [String: (sum: Double, count: Int)] = [:]
    }

    private func tally(of group: String, metrics: [String]) -> MachineTally {
        var tally = MachineTally()
        var last = ""
        while true {
            let machines = view.machines(group: group, after: last, limit: Self.page, within: nil)
            for machine in machines where machine.phase == .joined {
                tally.states[machine.state, default: 0] += 1
                guard machine.judged.awaySince == nil, let reported = machine.reported.status?.metrics else { continue }
                for name in metrics {
                    guard let value = reported[name], value.isFinite else { continue }
                    let known = tally.sums[name] ?? (0, 0)
                    tally.sums[name] = (known.sum + value, known.count + 1)
                }
            }
            guard machines.count == Self.page, let end = machines.last else { return tally }
            last = end.id
        }
    }
}
