import Fleet
import Foundation
import GroupLanguage
import Monitor
import Records

/// Groups, machines, software, tokens and secrets as they are shown.
extension Control {
    func groups(after: String?, limit: Int, within pattern: GroupPattern?) async throws -> Page<GroupView> {
        let rows = try records.groups(after: after, limit: limit + 1, matching: pattern)
        return page(rows, limit: limit, cursor: \.name, view: view)
    }

    func group(_ name: String) async throws -> GroupView { view(try row(name)) }

    func recordJSON(_ name: String) async throws -> String {
        GroupLanguage.json(of: try GroupRecord(row: try row(name)).definition)
    }

    func revisions(_ name: String) async throws -> Page<RevisionView> {
        _ = try row(name)
        return Page(
            items: try records.revisions(of: name).map {
                RevisionView(revision: $0.revision, text: $0.text, by: $0.by, at: $0.at)
            })
    }

    func view(_ row: GroupRow) -> GroupView {
        let record = monitor.group(row.name)
        let definition = record?.definition
        return GroupView(
            name: row.name, revision: row.revision, state: record?.run ?? row.run, service: definition?.service ?? "",
            software: definition?.software.description ?? "", digest: row.digest, text: row.text,
            status: monitor.groupStatus(row.name)
                ?? GroupStatusView(phase: .defined, desired: 0, present: 0, verified: 0, failed: 0, away: 0),
            changed: row.changed, by: row.changedBy)
    }

    func machines(group: String?, after: String?, limit: Int, within pattern: GroupPattern?) async throws
        -> Page<MachineView>
    {
        if let group { _ = try row(group) }
        drain()
        // The monitor's state is newer than SQLite's where only heartbeats came, so ids come from there and values from here.
        let ids = try records.machines(group: group, after: after, limit: limit + 1, matching: pattern).map(\.id)
        return page(ids, limit: limit, cursor: { $0 }, view: { $0 }).compactMap { id in
            monitor.machine(id).map(view)
        }
    }

    func machine(_ id: String) async throws -> MachineView {
        drain()
        return view(try known(id))
    }

    func software(after: String?, limit: Int) async throws -> Page<SoftwareView> {
        let rows = try records.software(after: after.flatMap(SoftwareReference.init), limit: limit + 1)
        return page(rows, limit: limit, cursor: \.reference.description, view: SoftwareView.init)
    }

    func software(_ reference: SoftwareReference) async throws -> SoftwareView {
        guard let row = try records.software(reference) else {
            throw Refusal(
                code: .notFound, message: "There is no software \(reference); push it with: trunkline software push DIR"
            )
        }
        return SoftwareView(row)
    }

    func tokens() async throws -> [TokenView] {
        try records.tokens().map { row in
            TokenView(
                name: row.name, role: row.role, groups: row.groups, created: row.created, by: row.createdBy,
                expires: row.expires, revoked: row.revoked, lastUsed: row.lastUsed)
        }
    }

    func secrets() async throws -> [String] { try records.secretNames() }

    /// As people see it, in the time of day.
    func view(_ machine: MachineRecord) -> MachineView { MachineView(machine, shift: clock.shift) }

    func known(_ id: String) throws -> MachineRecord {
        guard let machine = monitor.machine(id) else {
            throw Refusal(
                code: .notFound,
                message: "There is no machine \(id); trunkline machine list shows those that there are.")
        }
        return machine
    }

    /// `limit + 1` rows make a page and tell whether there is another.
    nonisolated func page<Row, View>(_ rows: [Row], limit: Int, cursor: (Row) -> String, view: (Row) -> View) -> Page<
        View
    > {
        let shown = rows.prefix(limit)
        return Page(items: shown.map(view), next: rows.count > limit ? shown.last.map(cursor) : nil)
    }
}

extension SoftwareView {
    init(_ row: SoftwareRow) {
        self.init(
            name: row.name, version: row.version, service: row.service, digest: row.digest,
            size: row.size, pushed: row.pushed)
    }
}

extension Page {
    fileprivate func compactMap<Other: Codable & Sendable>(_ transform: (Item) -> Other?) -> Page<Other> {
        Page<Other>(items: items.compactMap(transform), next: next)
    }
}
