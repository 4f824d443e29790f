import Fleet
import Foundation
import GroupLanguage
import Records

/// Groups, machines, software, tokens and secrets as they are shown.
extension Queries {
    func groups(after: String?, limit: Int, within pattern: GroupPattern?) async throws -> Page<GroupView> {
        let rows = try await reading { try $0.groups(after: after, limit: limit + 1, matching: pattern) }
        return Self.page(rows, limit: limit, cursor: \.name, view: view)
    }

    func group(_ name: String) async throws -> GroupView { view(try await row(name)) }

    func recordJSON(_ name: String) async throws -> String {
        GroupLanguage.json(of: try GroupRecord(row: try await row(name)).definition)
    }

    func view(_ row: GroupRow) -> GroupView {
        let live = view.group(row.name)
        let definition = live?.record.definition
        var status =
            live?.status ?? GroupStatusView(phase: .defined, desired: 0, present: 0, verified: 0, failed: 0, away: 0)
        let hearing = view.hearing
        // As long as it is now, not as long as it was at the last commit.
        if let deafness = hearing.deafness {
            status.holding =
                "\(deafness.reason) since \((clock.now - deafness.since).inWords): rules about absence hold"
        }
        status.stale = hearing.stale.map { $0.since + clock.shift }
        return GroupView(
            name: row.name, revision: row.revision, state: live?.record.run ?? row.run,
            service: definition?.service ?? "", software: definition?.software.description ?? "", digest: row.digest,
            text: row.text, status: status, changed: row.changed, by: row.changedBy)
    }

    func row(_ name: String) async throws -> GroupRow {
        guard let row = try await reading({ try $0.group(name) }) else { throw Refusal.noGroup(name) }
        return row
    }

    /// Looks through so many machines at a time, where not all are wanted.
    private static let stride = 1000

    func machines(_ filter: MachineFilter, after: String?, limit: Int) async throws -> Page<MachineView> {
        if let group = filter.group, view.group(group) == nil { throw Refusal.noGroup(group) }
        var named: Set<String> = []
        if !filter.labels.isEmpty {
            for (name, group) in view.groups(within: filter.within)
            where filter.matches(group.record.definition.machines.labels) { named.insert(name) }
        }
        let stride = filter.isNarrow ? Self.stride : limit + 1
        var found: [MachineRecord] = []
        var last = after ?? ""
        while found.count <= limit {
            let some = view.machines(group: filter.group, after: last, limit: stride, within: filter.within)
            found += some.filter { filter.matches($0, named: named) }
            guard some.count == stride, let end = some.last else { break }
            last = end.id
        }
        return Self.page(Array(found.prefix(limit + 1)), limit: limit, cursor: \.id, view: view)
    }

    func machine(_ id: String) throws -> MachineView {
        guard let machine = view.machine(id) else { throw Refusal.noMachine(id) }
        return view(machine)
    }

    /// As people see it, in the time of day.
    func view(_ machine: MachineRecord) -> MachineView {
        let shift = clock.shift
        var shown = MachineView(machine, shift: shift)
        shown.stale = view.hearing.stale.map { $0.since + shift }
        return shown
    }

    func software(after: String?, limit: Int) async throws -> Page<SoftwareView> {
        let rows = try await reading {
            try $0.software(after: after.flatMap(SoftwareReference.init), limit: limit + 1)
        }
        return Self.page(rows, limit: limit, cursor: \.reference.description, view: SoftwareView.init)
    }

    func software(_ reference: SoftwareReference) async throws -> SoftwareView {
        guard let row = try await reading({ try $0.software(reference) }) else {
            throw Refusal(
                code: .notFound, message: "There is no software \(reference); push it with: trunkline software push DIR"
            )
        }
        return SoftwareView(row)
    }

    func secrets() async throws -> [String] { try await reading { try $0.secretNames() } }
}

extension Refusal {
    static func noGroup(_ name: String) -> Refusal {
        Refusal(
            code: .notFound, message: "There is no group \(name); trunkline group list shows those that there are.")
    }

    static func noMachine(_ id: String) -> Refusal {
        Refusal(
            code: .notFound, message: "There is no machine \(id); trunkline machine list shows those that there are.")
    }
}

extension SoftwareView {
    init(_ row: SoftwareRow) {
        self.init(
            name: row.name, version: row.version, service: row.service, digest: row.digest,
            size: row.size, pushed: row.pushed)
    }
}
