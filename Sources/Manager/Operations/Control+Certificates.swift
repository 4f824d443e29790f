import Certificates
import Fleet
import Foundation
import Monitor

/// The certificate authority, and certificates for people.
extension Control {
    static let longestDebugLife = TimeSpan.hours(24 * 7)

    func rotateAuthority(finish: Bool, force: Bool, by caller: Caller) async throws -> AuthorityRotationView {
        let issuer = try requireIssuer()
        if finish { try issuer.finishRotation(force: force) } else { try issuer.beginRotation() }
        let view = issuer.view
        try transact { _, burst in
            burst.note(
                .keyRotated, by: caller,
                finish
                    ? "Only the new certificate authority is trusted"
                    : "A new certificate authority signs; both are trusted",
                subject: "certificate authority", after: ["authority": view.authority, "trusted": "\(view.trusted)"])
            // The list has to name every authority that is trusted.
            burst.work.append(.revocations)
        }
        // Machines hear of it with their orders, which this sends again.
        mailbox.put(.event(.connected))
        return view
    }

    func debugCertificate(
        _ request: DebugCertificateRequest, by caller: Caller
    ) async throws -> DebugCertificateView {
        let issuer = try requireIssuer()
        guard request.ttl >= .seconds(10), request.ttl <= Self.longestDebugLife else {
            throw Refusal(code: .malformed, message: "ttl must be 10s to 7d: a debug certificate is short-lived.")
        }
        return try transact { _, burst in
            let (certificate, key) = try issuer.debugCertificate(life: request.ttl, at: burst.wall)
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
