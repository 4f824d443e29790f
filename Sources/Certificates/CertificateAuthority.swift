package import Fleet
import Crypto
import FoundationEssentials
import Glibc
import SwiftASN1
import X509

/// Who says which key belongs to whom: a P-256 certificate authority (RFC 5280).
package struct CertificateAuthority: Sendable {
    /// What a certificate may be used for.
    package enum Purpose: Sendable {
        /// Names and addresses under which clients reach the server.
        case server(names: [String])
        case client
    }

    let certificate: Certificate
    let key: P256.Signing.PrivateKey
    /// The public half, as trusted parties keep it.
    package let pem: String
    /// The key's identifier in hex (RFC 5280 §4.2.1.2): tells authorities apart that have the same name.
    package let identifier: String

    /// Clocks differ: what is issued is valid from this much earlier.
    package static let skew = TimeSpan.minutes(5)

    /// A new one, with a key of its own.
    ///
    /// - Parameter title: begins its name, for people who look at a certificate.
    package init(title: String = "Trunkline CA", life: TimeSpan, at now: Timestamp) throws(CertificateError) {
        let key = P256.Signing.PrivateKey()
        do {
            let publicKey = Certificate.PublicKey(key.publicKey)
            let identifier = Self.identifier(of: publicKey)
            // A name of its own: OpenSSL finds issuers and revocation lists by name.
            let name = try DistinguishedName { CommonName("\(title) \(hexadecimal(identifier.prefix(4)))") }
            let certificate = try Certificate(
                version: .v3, serialNumber: .init(), publicKey: publicKey, notValidBefore: (now - Self.skew).date,
                notValidAfter: (now + life).date, issuer: name, subject: name, signatureAlgorithm: .ecdsaWithSHA256,
                extensions: try Certificate.Extensions {
                    Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                    Critical(KeyUsage(keyCertSign: true, cRLSign: true))
                    SubjectKeyIdentifier(keyIdentifier: identifier)
                    AuthorityKeyIdentifier(keyIdentifier: identifier)
                }, issuerPrivateKey: .init(key))
            try self.init(certificate, key)
        } catch {
            throw CertificateError("the certificate authority can't be made: \(error)")
        }
    }

    /// One that was kept, or the user's own: its certificate and its key, in PEM.
    package init(certificatePEM: String, keyPEM: String) throws(CertificateError) {
        let certificate: Certificate
        do { certificate = try Certificate(pemEncoded: certificatePEM) } catch {
            throw CertificateError("its certificate is not one certificate in PEM")
        }
        let key = try TransportKey(pem: keyPEM).key
        guard certificate.publicKey == Certificate.PublicKey(key.publicKey) else {
            throw CertificateError("its key is not the certificate's")
        }
        guard let constraints = try? certificate.extensions.basicConstraints,
            case .isCertificateAuthority = constraints
        else { throw CertificateError("its certificate is not an authority's (basic constraints CA:TRUE)") }
        // Without either the broker would refuse everybody, with a reason that nobody understands.
        if let usage = try? certificate.extensions.keyUsage, !usage.keyCertSign || !usage.cRLSign {
            throw CertificateError(
                "its certificate may not sign certificates and revocation lists (keyCertSign, cRLSign)")
        }
        guard certificate.issuer == certificate.subject else {
            throw CertificateError("its certificate is not a root (self-signed), and the broker trusts roots only")
        }
        do { try self.init(certificate, key) } catch {
            throw CertificateError("its certificate can't be used: \(error)")
        }
    }

    private init(_ certificate: Certificate, _ key: P256.Signing.PrivateKey) throws {
        self.certificate = certificate
        self.key = key
        pem = try certificate.serializeAsPEM().pemString + "\n"
        identifier = hexadecimal(Self.identifier(of: certificate))
    }

    /// The private half, to be kept 0600.
    package var keyPEM: String { key.pemRepresentation + "\n" }
    package var notAfter: Timestamp { Timestamp(certificate.notValidAfter) }

    /// A certificate for the request's key; never valid for longer than the authority itself.
    package func issue(
        to name: String, for purpose: Purpose, request: CertificateRequest, life: TimeSpan, at now: Timestamp
    ) throws(CertificateError) -> TransportCertificate {
        try issue(to: name, for: purpose, key: request.publicKey, life: life, at: now)
    }

    /// A certificate for a key of one's own.
    package func issue(
        to name: String, for purpose: Purpose, key: TransportKey, life: TimeSpan, at now: Timestamp
    ) throws(CertificateError) -> TransportCertificate {
        try issue(to: name, for: purpose, key: key.key.publicKey, life: life, at: now)
    }

    private func issue(
        to name: String, for purpose: Purpose, key publicKey: P256.Signing.PublicKey, life: TimeSpan, at now: Timestamp
    ) throws(CertificateError) -> TransportCertificate {
        do {
            return try TransportCertificate(
                Certificate(
                    version: .v3, serialNumber: .init(), publicKey: .init(publicKey),
                    notValidBefore: (now - Self.skew).date, notValidAfter: min(now + life, notAfter).date,
                    issuer: certificate.subject, subject: try DistinguishedName { CommonName(name) },
                    signatureAlgorithm: .ecdsaWithSHA256,
                    extensions: try extensions(for: purpose, key: publicKey), issuerPrivateKey: .init(key)))
        } catch {
            throw CertificateError("a certificate for \(name) can't be made: \(error)")
        }
    }

    private func extensions(
        for purpose: Purpose, key: P256.Signing.PublicKey
    ) throws -> Certificate.Extensions {
        var extensions = try Certificate.Extensions {
            Critical(BasicConstraints.notCertificateAuthority)
            Critical(KeyUsage(digitalSignature: true))
            SubjectKeyIdentifier(keyIdentifier: Self.identifier(of: .init(key)))
            AuthorityKeyIdentifier(keyIdentifier: Self.identifier(of: certificate))
        }
        switch purpose {
        // A machine's certificate must not pass for a server's, nor the other way round.
        case .client: try extensions.append(Certificate.Extension(ExtendedKeyUsage([.clientAuth]), critical: false))
        case .server(let names):
            try extensions.append(Certificate.Extension(ExtendedKeyUsage([.serverAuth]), critical: false))
            let names = SubjectAlternativeNames(names.map(Self.generalName))
            try extensions.append(Certificate.Extension(names, critical: false))
        }
        return extensions
    }

    private static func generalName(_ name: String) -> GeneralName {
        var four = in_addr()
        var six = in6_addr()
        if inet_pton(AF_INET, name, &four) == 1 {
            return .ipAddress(ASN1OctetString(contentBytes: withUnsafeBytes(of: &four) { ArraySlice($0) }))
        }
        if inet_pton(AF_INET6, name, &six) == 1 {
            return .ipAddress(ASN1OctetString(contentBytes: withUnsafeBytes(of: &six) { ArraySlice($0) }))
        }
        return .dnsName(name)
    }

    /// RFC 7093 §2 (1): the first 160 bits of the key's SHA-256.
    private static func identifier(of key: Certificate.PublicKey) -> ArraySlice<UInt8> {
        ArraySlice(Array(SHA256.hash(data: key.subjectPublicKeyInfoBytes)).prefix(20))
    }

    /// The one in the certificate, since that is what others compare; computed for a user's certificate without one.
    static func identifier(of certificate: Certificate) -> ArraySlice<UInt8> {
        (try? certificate.extensions.subjectKeyIdentifier?.keyIdentifier) ?? identifier(of: certificate.publicKey)
    }
}
