import Fleet
import Monitor
import Records

/// What people and their monitoring watch the manager itself by.
extension Control {
    func notReady() async -> String? {
        connected ? nil : "There is no connection with the broker \(configuration.broker)."
    }

    func metricsText(within pattern: GroupPattern?) async -> String {
        let groups = ((try? records.allGroups()) ?? []).filter { pattern?.matches($0.name) ?? true }
        var text = counters.text()
        text +=
            "# HELP trunkline_group_machines Machines of a group by what they are.\n# TYPE trunkline_group_machines gauge\n"
        for row in groups {
            guard let status = monitor.groupStatus(row.name) else { continue }
            let counts = [
                ("desired", status.desired), ("present", status.present), ("verified", status.verified),
                ("failed", status.failed), ("away", status.away),
            ]
            for (state, count) in counts {
                text += "trunkline_group_machines{group=\"\(row.name)\",state=\"\(state)\"} \(count)\n"
            }
        }
        text +=
            "# HELP trunkline_broker_connected 1 while the broker answers.\n# TYPE trunkline_broker_connected gauge\n"
        return text + "trunkline_broker_connected \(connected ? 1 : 0)\n"
    }
}
