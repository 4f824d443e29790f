package import Fleet
package import FoundationEssentials
import Crypto
import SwiftASN1
import X509

/// What a certificate says: whose it is, from whom, and for how long.
package struct TransportCertificate: Hashable, Sendable {
    package let pem: String
    package let commonName: String
    /// Hex digits, lower case.
    package let serial: String
    package let notBefore: Timestamp
    package let notAfter: Timestamp
    /// The issuer's key identifier in hex (RFC 5280 §4.2.1.1), or its name where it has none.
    package let issuer: String
    /// The P-256 point, uncompressed; empty for a key of another kind.
    package let publicKey: Data

    /// The first certificate of a PEM text.
    package init(pem: String) throws(CertificateError) {
        do {
            let document = try PEMDocument.parseMultiple(pemString: pem).first { $0.discriminator == "CERTIFICATE" }
            guard let document else { throw CertificateError("there is no certificate in it") }
            try self.init(Certificate(pemDocument: document))
        } catch let error as CertificateError {
            throw error
        } catch {
            throw CertificateError("not a certificate in PEM")
        }
    }

    init(_ certificate: Certificate) throws {
        pem = try certificate.serializeAsPEM().pemString + "\n"
        commonName = certificate.subject.commonName ?? ""
        serial = hexadecimal(certificate.serialNumber.bytes)
        notBefore = Timestamp(certificate.notValidBefore)
        notAfter = Timestamp(certificate.notValidAfter)
        let authority = try certificate.extensions.authorityKeyIdentifier?.keyIdentifier
        issuer = authority.map { hexadecimal($0) } ?? certificate.issuer.description
        publicKey = P256.Signing.PublicKey(certificate.publicKey)?.x963Representation ?? Data()
    }

    /// When to ask for the next one: two thirds of its life are over.
    package var renewAt: Timestamp {
        let issued = min(notBefore + CertificateAuthority.skew, notAfter)
        return issued + .milliseconds((notAfter.milliseconds - issued.milliseconds) / 3 * 2)
    }
}

extension DistinguishedName {
    var commonName: String? {
        for relative in self {
            for attribute in relative where attribute.type == .RDNAttributeType.commonName {
                return String(attribute.value)
            }
        }
        return nil
    }
}

extension Timestamp {
    init(_ date: Date) { self.init(milliseconds: Int64(date.timeIntervalSince1970 * 1000)) }

    /// Certificates know whole seconds.
    var date: Date { Date(timeIntervalSince1970: Double(milliseconds / 1000)) }
}

func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}
