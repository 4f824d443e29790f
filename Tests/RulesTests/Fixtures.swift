import Fleet
import Rules

/// The instant that many seconds after the tests' beginning.
func at(_ seconds: Int64) -> Timestamp { Timestamp(milliseconds: 1_800_000_000_000) + .seconds(seconds) }

/// A machine that reported `metrics`, and its software's health where it runs any.
func machine(
    _ id: String = "edge-1", index: Int = 0, health: Health? = .passing, digest: String = "d1",
    metrics: [String: Double] = [:], reported: Bool = true, away: Bool = false, verified: Bool = false
) -> MachineRecord {
    let software = health.map {
        RunningSoftware(
            name: "kamailio", version: "5.6.3", digest: digest, generation: 1, health: $0, since: at(0), restarts: 2)
    }
    let status = Status(
        group: "edge", machine: id, session: 1, sequence: 1, at: at(0), state: software == nil ? .idle : .running,
        software: software, metrics: metrics)
    var machine = MachineRecord(
        id: id, group: "edge", index: index, platform: .local, phase: .joined, phaseSince: at(0))
    machine.reported.status = reported ? status : nil
    machine.judged.awaySince = away ? at(0) : nil
    machine.judged.verified = verified
    return machine
}

/// What a rule sees in the group `edge` of three machines, whose software has the digest `d2`.
func scope(_ machine: MachineRecord?, counts: GroupCounts = GroupCounts()) -> Scope {
    let definition = GroupDefinition(
        name: "edge", service: "voice", software: SoftwareReference(name: "kamailio", version: "5.6.3"),
        machines: MachineSet(count: 3, platform: .local))
    let manifest = SoftwareManifest(name: "kamailio", version: "5.6.3", service: "voice", run: ["./start.sh"])
    let record = GroupRecord(definition: definition, revision: 1, digest: "d2", manifest: manifest)
    return Scope(group: record, counts: counts, machine: machine)
}

extension Scope {
    /// With what the expression's aggregates go over added up, machine by machine.
    func over(_ present: [MachineRecord], for expression: Expression) -> Scope {
        var scope = self
        for inner in expression.aggregated { scope.totals[inner] = total(of: inner, over: present) }
        return scope
    }

    func total(of inner: Expression, over machines: [MachineRecord]) -> Total {
        machines.map { machine in
            var scope = self
            scope.machine = machine
            return Total(of: scope.value(of: inner))
        }.reduce(Total(), +)
    }
}

func number(_ value: Double) -> Expression { .value(.number(value)) }
func word(_ value: String) -> Expression { .value(.word(value)) }
let yes = Expression.value(.bool(true))
let no = Expression.value(.bool(false))
/// A fact that is absent where no machine reports it.
let absent = Expression.binary(.equal, .metric("nowhere"), number(1))
