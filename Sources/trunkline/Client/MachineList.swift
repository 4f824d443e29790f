import ArgumentParser
import Client
import Fleet
import Foundation
import GroupLanguage

extension MachineCommand {
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List machines.",
            discussion: """
                AGE: since it joined (or was asked for, or is leaving); HEARD: how long ago it last said something. -o wide also shows host, \
                agent, platform and generation.
                """)
        @Option(help: "Of one group only.", completion: .groups) var group: String?
        @Option(
            help: ArgumentHelp(
                "In these states only, such as away,failed; launching, leaving and revoked are some, too.",
                valueName: "state"))
        var state: String?
        @Option(
            help: ArgumentHelp("Of groups with this label only; may be given more than once.", valueName: "name=value"))
        var label: [String] = []
        @Option(help: "In this order.") var sort = MachineOrder.machine
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func validate() throws {
            for label in label where !label.contains("=") {
                throw ValidationError("--label takes a name and a value, such as site=den")
            }
            let known = MachineView.shownStates
            for state in states where !known.contains(state) {
                let close = Suggestion.nearest(to: state, among: known).map { "; did you mean \($0)?" } ?? ""
                throw ValidationError("--state: there is no state \(state)\(close)")
            }
        }

        private var states: [String] { state?.split(separator: ",").map(String.init) ?? [] }

        func run() async throws {
            let (all, groups) = try await location.with { client in
                (
                    try await client.allMachines(group: group, states: states, labels: label),
                    try await client.allGroups()
                )
            }
            output.noteHolding(groups.filter { group == nil || $0.name == group })
            let named = Set(groups.filter(hasLabels).map(\.name))
            // Once more here: a manager that is older sends all.
            let machines = all.filter { machine in
                (states.isEmpty || states.contains(machine.shownState))
                    && (label.isEmpty || named.contains(machine.group))
            }
            try output.list(
                sort.sorted(machines),
                columns: MachineView.columns(ofOne: group != nil, isWide: output.format == .wide), name: \.id)
        }

        private func hasLabels(_ group: GroupView) -> Bool {
            guard !label.isEmpty, let record = try? GroupLanguage.group(from: group.text, as: .stored) else {
                return false
            }
            return label.allSatisfy { wanted in
                record.machines.labels.contains { "\($0.key)=\($0.value)" == wanted }
            }
        }
    }
}

/// `--sort`
enum MachineOrder: String, ExpressibleByArgument, CaseIterable {
    case machine, group, state, software, age, heard, host

    /// The oldest, and the longest unheard, come first.
    func sorted(_ machines: [MachineView]) -> [MachineView] {
        func by<Key: Comparable>(_ key: (MachineView) -> Key) -> [MachineView] {
            machines.sorted { (key($0), $0.group, $0.index) < (key($1), $1.group, $1.index) }
        }
        return switch self {
        case .machine, .group: by(\.group)
        case .state: by(\.shownState)
        case .software: by { $0.software.map { "\($0.name)@\($0.version)" } ?? "" }
        case .age: by { $0.since.milliseconds }
        case .heard: by { $0.heardAt?.milliseconds ?? 0 }
        case .host: by { $0.facts?.host ?? "" }
        }
    }
}

extension MachineView {
    /// What it said before it was away is not what is now.
    private func now(_ text: String?) -> String { awaySince == nil ? text ?? "-" : "-" }

    static func columns(ofOne: Bool = false, isWide: Bool = false) -> [Column<MachineView>] {
        let now = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
        var columns: [Column<MachineView>] = [Column("machine", \.id)]
        if !ofOne { columns.append(Column("group", \.group)) }
        columns += [
            Column("state", \.shownState),
            Column("software") { $0.software.map { "\($0.name)@\($0.version)" } ?? "-" },
            Column("health") { $0.now($0.software?.health.rawValue) },
            Column("verified") { $0.verified ? "yes" : "no" },
            Column("age") { (now - $0.since).brief }, Column("heard") { $0.heardAt.map { (now - $0).brief } ?? "-" },
            Column("isolation") { $0.isolation?.rawValue ?? "-" },
        ]
        if isWide {
            columns += [
                Column("generation") { "\($0.software?.generation ?? 0)/\($0.generation)" },
                Column("platform", \.platform), Column("host") { $0.facts?.host ?? "-" },
                Column("version") { $0.agent ?? "-" },
            ]
        }
        return columns + [
            Column("metrics") { machine in
                guard machine.awaySince == nil else { return "-" }
                return machine.metrics.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.short)" }.joined(
                    separator: " ")
            }, Column("reason") { $0.reason ?? "" },
        ]
    }
}
