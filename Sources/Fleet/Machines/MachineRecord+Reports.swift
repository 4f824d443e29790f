extension MachineRecord.Reported {
    /// So many restarts of a machine are remembered, the newest.
    package static let mostRestarts = 100

    /// Takes a report as its last one, with what follows from it and the one before.
    ///
    /// - Parameter counters: the metrics of which somebody asks how fast they grow.
    package mutating func take(_ report: Status, counters: Set<String>, at now: Timestamp) {
        let before = status
        status = report
        if let software = report.software {
            let last = before?.software
            // Its counter begins anew with each generation.
            let isSame = last?.generation == software.generation && last?.digest == software.digest
            let known = isSame ? last?.restarts ?? 0 : 0
            if software.restarts > known {
                let new = min(software.restarts - known, Self.mostRestarts)
                restartedAt = Array((restartedAt + Array(repeating: now, count: new)).suffix(Self.mostRestarts))
            }
        }
        guard !counters.isEmpty || !rates.isEmpty else { return }
        var next: [String: CounterRate] = [:]
        for name in counters {
            guard let value = report.metrics[name], value.isFinite else { continue }
            next[name] = rates[name]?.followed(by: value, at: now) ?? CounterRate(value: value, at: now)
        }
        rates = next
    }
}
