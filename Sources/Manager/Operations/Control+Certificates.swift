import Certificates
import Fleet
import Foundation
import Monitor
import Records

/// The certificate authority, and certificates for people.
extension Control {
    static let longestDebugLife = TimeSpan.hours(24 * 7)

    func rotateAuthority(finish: Bool, force: Bool, by caller: Caller) async throws -> AuthorityRotationView {
        let issuer = try requireIssuer()
        let row = try finish ? issuer.prepareFinish(force: force) : issuer.prepareRotation()
        let view = AuthorityRotationView(authority: row.current, trusted: row.previous == nil ? 1 : 2)
        do { try commit(row, view, finish: finish, by: caller) } catch {
            if !finish { issuer.abandonRotation() }
            throw error
        }
        // The files follow what was committed; a manager that is killed here finishes it at its next start.
        if finish { try issuer.settleFinish() } else { try issuer.settleRotation() }
        // An order that was sealed meanwhile named those before.
        try speakAnew()
        // The list has to name every authority that is trusted.
        handOver([.revocations])
        // Machines hear of it with their orders, which this sends again.
        mailbox.put(.event(.connected))
        return view
    }

    private func commit(_ row: AuthorityRow, _ view: AuthorityRotationView, finish: Bool, by caller: Caller) throws {
        try transact { _, burst in
            burst.changes.append(.authority(row))
            burst.note(
                .keyRotated, by: caller,
                finish
                    ? "Only the new certificate authority is trusted"
                    : "A new certificate authority signs; both are trusted",
                subject: "certificate authority", after: ["authority": view.authority, "trusted": "\(view.trusted)"])
        }
    }

    func debugCertificate(
        _ request: DebugCertificateRequest, by caller: Caller
    ) async throws -> DebugCertificateView {
        let issuer = try requireIssuer()
        guard request.ttl >= .seconds(10), request.ttl <= Self.longestDebugLife else {
            throw Refusal(code: .malformed, message: "ttl must be 10s to 7d: a debug certificate is short-lived.")
        }
        return try transact { _, burst in
            let (certificate, key, row) = try issuer.debugCertificate(life: request.ttl, at: burst.wall)
            burst.changes.append(.certificate(row))
            burst.note(
                .certificateIssued, by: caller,
                "Certificate \(certificate.commonName) to read the broker's traffic until \(certificate.notAfter)",
                subject: "certificate \(certificate.serial)", after: ["expires": certificate.notAfter.description])
            return DebugCertificateView(
                name: certificate.commonName, pem: certificate.pem + key, expires: certificate.notAfter)
        }
    }

    private func requireIssuer() throws -> CertificateIssuer {
        guard let issuer else {
            throw Refusal(
                code: .conflict, message: "The manager runs with --insecure: there are no certificates.")
        }
        return issuer
    }
}
