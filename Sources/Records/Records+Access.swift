import Fleet
package import Foundation
import GRDB

/// Secrets, tokens of the REST API, and answers to repeated requests.
extension Records {
    /// The sealed value.
    package func secret(_ name: String) throws(RecordsError) -> Data? {
        try row("SELECT sealed FROM secrets WHERE name = ?", [name]) { try $0.value("sealed") }
    }

    package func secretNames() throws(RecordsError) -> [String] {
        try rows("SELECT name FROM secrets ORDER BY name", []) { try $0.value("name") }
    }

    /// Whose token has this SHA-256.
    package func token(hash: String) throws(RecordsError) -> TokenRow? {
        try row("SELECT * FROM tokens WHERE hash = ?", [hash], TokenRow.init(row:))
    }

    package func token(named name: String) throws(RecordsError) -> TokenRow? {
        try row("SELECT * FROM tokens WHERE name = ?", [name], TokenRow.init(row:))
    }

    package func tokens() throws(RecordsError) -> [TokenRow] {
        try rows("SELECT * FROM tokens ORDER BY name", [], TokenRow.init(row:))
    }

    /// What the caller's first request under this key was answered with.
    package func idempotentAnswer(key: String, caller: String) throws(RecordsError) -> IdempotentAnswerRow? {
        try row(
            "SELECT * FROM idempotency WHERE key = ? AND caller = ?", [key, caller], IdempotentAnswerRow.init(row:))
    }
}

extension Transaction {
    func saveSecret(_ name: String, _ sealed: Data, at: Timestamp) throws {
        try run(
            """
            INSERT INTO secrets (name, sealed, at) VALUES (?, ?, ?)
            ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, at = excluded.at
            """, [name, sealed, at.milliseconds])
    }

    func save(_ token: TokenRow) throws {
        try run(
            """
            INSERT INTO tokens (name, hash, role, groups, created, created_by, expires, revoked, last_used)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (name) DO UPDATE SET hash = excluded.hash, role = excluded.role, groups = excluded.groups,
                created = excluded.created, created_by = excluded.created_by, expires = excluded.expires,
                revoked = excluded.revoked, last_used = excluded.last_used
            """,
            [
                token.name, token.hash, token.role.rawValue, token.groups?.description, token.created.milliseconds,
                token.createdBy, token.expires?.milliseconds, token.revoked?.milliseconds,
                token.lastUsed?.milliseconds,
            ])
    }

    /// The first answer stays; a mark that the request was carried out (status 0) gives way to it.
    func save(_ answer: IdempotentAnswerRow) throws {
        try run(
            """
            INSERT INTO idempotency (key, caller, request, status, headers, body, at) VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (key, caller) DO UPDATE SET status = excluded.status, headers = excluded.headers,
                body = excluded.body, at = excluded.at
            WHERE idempotency.status = 0
            """,
            [
                answer.key, answer.caller, answer.request, answer.status, try json.text(answer.headers), answer.body,
                answer.at.milliseconds,
            ])
    }
}

extension TokenRow {
    init(row: Row) throws {
        self.init(
            name: try row.value("name"), hash: try row.value("hash"), role: try row.word(raw: "role"),
            // What can't be read is an error: nil would be every group.
            groups: try row.optional("groups") as String? == nil ? nil : try row.word("groups"),
            created: try row.instant("created"), createdBy: try row.value("created_by"),
            expires: try row.optionalInstant("expires"), revoked: try row.optionalInstant("revoked"),
            lastUsed: try row.optionalInstant("last_used"))
    }
}

extension IdempotentAnswerRow {
    init(row: Row) throws {
        self.init(
            key: try row.value("key"), caller: try row.value("caller"), request: try row.value("request"),
            status: try row.value("status"), headers: try RowCoding().value(from: row, "headers"),
            body: try row.value("body"), at: try row.instant("at"))
    }
}
