package import Fleet
import Foundation
import GRDB

/// Certificates of machines and of people who look at the broker's traffic.
/// Which certificate authorities are in force, by key identifier: `current` signs, both are trusted.
package struct AuthorityRow: Hashable, Sendable {
    package var current: String
    package var previous: String?

    package init(current: String, previous: String? = nil) {
        self.current = current
        self.previous = previous
    }
}

extension Records {
    /// Nil where none was recorded yet.
    package func authority() throws(RecordsError) -> AuthorityRow? {
        try row("SELECT current, previous FROM authority", []) {
            AuthorityRow(current: try $0.value("current"), previous: try $0.optional("previous"))
        }
    }

    /// The one that is valid longest; nil where all have expired or were revoked.
    package func certificate(of name: String, at now: Timestamp) throws(RecordsError) -> CertificateRow? {
        try row(
            """
            SELECT * FROM certificates WHERE name = ? AND not_after > ? AND revoked IS NULL
            ORDER BY not_after DESC LIMIT 1
            """, [name, now.milliseconds], CertificateRow.init(row:))
    }

    /// Everything that was revoked and has not expired, by serial.
    package func revokedCertificates(at now: Timestamp) throws(RecordsError) -> [CertificateRow] {
        try rows(
            "SELECT * FROM certificates WHERE revoked IS NOT NULL AND not_after > ? ORDER BY serial",
            [now.milliseconds], CertificateRow.init(row:))
    }

    /// Who has a certificate from this authority that is neither expired nor revoked.
    package func names(withCertificateFrom issuer: String, at now: Timestamp) throws(RecordsError) -> [String] {
        try rows(
            """
            SELECT DISTINCT name FROM certificates WHERE issuer = ? AND not_after > ? AND revoked IS NULL ORDER BY name
            """, [issuer, now.milliseconds]
        ) { try $0.value("name") }
    }
}

extension Transaction {
    func save(_ authority: AuthorityRow) throws {
        try run(
            """
            INSERT INTO authority (one, current, previous) VALUES (1, ?, ?)
            ON CONFLICT (one) DO UPDATE SET current = excluded.current, previous = excluded.previous
            """, [authority.current, authority.previous])
    }

    func save(_ certificate: CertificateRow) throws {
        try run(
            "INSERT INTO certificates (serial, name, issuer, pem, not_after, revoked) VALUES (?, ?, ?, ?, ?, ?)",
            [
                certificate.serial, certificate.name, certificate.issuer, certificate.pem,
                certificate.notAfter.milliseconds, certificate.revoked?.milliseconds,
            ])
    }

    func revokeCertificates(of name: String, at instant: Timestamp) throws {
        try run(
            "UPDATE certificates SET revoked = ? WHERE name = ? AND revoked IS NULL", [instant.milliseconds, name])
    }

    func removeCertificates(expiredBefore instant: Timestamp) throws {
        try run("DELETE FROM certificates WHERE not_after < ?", [instant.milliseconds])
    }
}

extension CertificateRow {
    init(row: Row) throws {
        self.init(
            serial: try row.value("serial"), name: try row.value("name"), issuer: try row.value("issuer"),
            pem: try row.value("pem"), notAfter: try row.instant("not_after"),
            revoked: try row.optionalInstant("revoked"))
    }
}
