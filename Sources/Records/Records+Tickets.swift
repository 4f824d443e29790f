import Fleet
package import Foundation
import GRDB

/// Boot tickets and content keys.
extension Records {
    package func ticket(_ id: String) throws(RecordsError) -> TicketRow? {
        try row("SELECT * FROM tickets WHERE id = ?", [id], TicketRow.init(row:))
    }

    /// Who registered with a ticket, by id.
    package func machines(usingTicket id: String) throws(RecordsError) -> [String] {
        try rows("SELECT machine FROM ticket_uses WHERE ticket = ? ORDER BY machine", [id]) { try $0.value("machine") }
    }

    /// The sealed content key; nil as the machine means the one that all share.
    package func contentKey(group: String, digest: String, machine: String?) throws(RecordsError) -> Data? {
        try row(
            "SELECT sealed FROM content_keys WHERE \"group\" = ? AND digest = ? AND machine = ?",
            [group, digest, machine ?? ""]
        ) { try $0.value("sealed") }
    }
}

extension Transaction {
    func saveTicket(_ ticket: TicketRow) throws {
        try run(
            """
            INSERT INTO tickets (id, "group", machine, secret_sealed, uses, expires, group_key)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            [
                ticket.id, ticket.group, ticket.machine, ticket.secretSealed, ticket.uses, ticket.expires.milliseconds,
                ticket.groupKey,
            ])
    }

    func useTicket(_ ticket: String, by machine: String) throws {
        try run(
            """
            INSERT INTO ticket_uses (ticket, machine) SELECT id, ?2 FROM tickets t WHERE id = ?1 AND (
                uses > used
                OR EXISTS (SELECT 1 FROM ticket_uses u WHERE u.ticket = t.id AND u.machine = ?2))
            ON CONFLICT (ticket, machine) DO UPDATE SET machine = excluded.machine
            """, [ticket, machine])
        guard database.changesCount == 1 else {
            throw RecordsError(.conflict, "The boot ticket \(ticket) is spent or unknown; invite the machine anew.")
        }
    }
}

extension TicketRow {
    init(row: Row) throws {
        self.init(
            id: try row.value("id"), group: try row.value("group"), machine: try row.optional("machine"),
            secretSealed: try row.value("secret_sealed"), uses: try row.value("uses"), used: try row.value("used"),
            expires: try row.instant("expires"), groupKey: try row.value("group_key"))
    }
}
