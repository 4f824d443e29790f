import Fleet
import GroupLanguage
import Monitor
import Records

/// What would change, and why a machine is as it is.
extension Control {
    func plan(_ source: RecordSource, by caller: Caller) async throws -> PlanView {
        drain()
        let checked = try check(source)
        try caller.require(group: checked.definition.name)
        return monitor.plan(checked.definition, digest: checked.software.digest, manifest: checked.software.manifest)
    }

    func explain(_ id: String) async throws -> ExplanationView {
        drain()
        _ = try known(id)
        guard var explanation = monitor.explain(id, at: .now) else {
            throw Refusal(code: .notFound, message: "There is no machine \(id).")
        }
        for index in explanation.rules.indices {
            explanation.rules[index].due = explanation.rules[index].due.map { $0 + clock.shift }
        }
        // The monitor does not know the language that people read.
        for (index, rule) in (monitor.group(explanation.group)?.definition.rules ?? []).enumerated()
        where explanation.rules.indices.contains(index) && explanation.rules[index].name == rule.name {
            explanation.rules[index].when = GroupLanguage.text(of: rule.when)
        }
        explanation.events = try records.latestEvents(machine: id, limit: 10)
        return explanation
    }

    func logs(ofMachine id: String) async throws -> AsyncStream<LogView> {
        drain()
        let machine = try known(id)
        return try await logRelay.watch(machine: id, of: machine.group)
    }
}
