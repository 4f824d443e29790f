package import Fleet

/// What an expression can see: one machine of a group, or the group alone.
///
/// A fact that nobody has reported yet is absent; every comparison with an absent value is false.
package struct Scope: Sendable {
    package var group: GroupRecord
    /// Nil inside an aggregate: what it adds up of a machine may change with that machine only.
    package var counts: GroupCounts?
    /// Nil where a condition is judged once for the group.
    package var machine: MachineRecord?
    /// Of the group's present machines, by what an aggregate goes over; of nobody where there is none.
    package var totals: [Expression: Total]
    /// Of those of them that are no canaries of the rollout, for `avg_of_rest`.
    package var rest: [Expression: Total]
    /// When it is judged; nil: what depends on the time is absent.
    package var now: Timestamp?
    /// Which windows are open; one that is not in it is absent.
    package var windows: [Window: Bool]

    package init(
        group: GroupRecord, counts: GroupCounts?, machine: MachineRecord?, windows: [Window: Bool] = [:],
        totals: [Expression: Total] = [:], rest: [Expression: Total] = [:]
    ) {
        self.group = group
        self.counts = counts
        self.machine = machine
        self.windows = windows
        self.totals = totals
        self.rest = rest
    }

    func value(of fact: Fact) -> FactValue? {
        switch fact {
        case .groupDigest: .text(group.digest)
        case .groupService: .text(group.definition.service)
        case .groupCount: .number(Double(group.definition.machines.count))
        case .groupPresent: counts.map { .number(Double($0.present)) }
        case .groupVerified: counts.map { .number(Double($0.verified)) }
        case .groupFailed: counts.map { .number(Double($0.failed)) }
        case .groupAway: counts.map { .number(Double($0.away)) }
        default: machine.flatMap { ofMachine(fact, $0) }
        }
    }

    private func ofMachine(_ fact: Fact, _ machine: MachineRecord) -> FactValue? {
        switch fact {
        case .machineID: .text(machine.id)
        case .machineIndex: .number(Double(machine.index))
        case .machineState: .text(machine.state.rawValue)
        case .machinePlatform: .text(machine.platform.description)
        case .machineVerified: .bool(machine.judged.verified)
        case .platformState: .text(machine.judged.platformState.rawValue)
        case .softwareName: machine.reported.status?.software.map { .text($0.name) }
        case .softwareVersion: machine.reported.status?.software.map { .text($0.version) }
        // A machine that runs nothing has no digest: that differs from every digest, so that it is delivered to.
        case .softwareDigest: .text(machine.reported.status?.software?.digest ?? "")
        case .softwareHealth: machine.reported.status?.software.map { .text($0.health.rawValue) }
        case .softwareRestarts: machine.reported.status?.software.map { .number(Double($0.restarts)) }
        default: nil
        }
    }
}

/// How many of a group's machines are what.
package struct GroupCounts: Hashable, Sendable {
    package var present = 0
    package var verified = 0
    package var failed = 0
    package var away = 0

    package init() {}
}

/// A value while an expression is evaluated.
package enum FactValue: Hashable, Sendable, CustomStringConvertible {
    case number(Double)
    case text(String)
    case bool(Bool)
    case span(TimeSpan)

    /// As it stands in an environment or an event: whole numbers without a fraction.
    package var description: String {
        switch self {
        case .number(let value):
            value == value.rounded() && value.magnitude < 1e15 ? "\(Int64(value))" : "\(value)"
        case .text(let text): text
        case .bool(let value): value ? "true" : "false"
        case .span(let span): span.description
        }
    }
}
