import Crypto
package import FoundationEssentials
import SwiftASN1
import X509

/// The P-256 key pair with which a party proves in TLS who it is; the private half stays where it was made.
package struct TransportKey: Sendable {
    let key: P256.Signing.PrivateKey

    package init() { key = P256.Signing.PrivateKey() }

    /// A key that was kept, as PEM (PKCS #8, or SEC 1 as OpenSSL writes it).
    package init(pem: String) throws(CertificateError) {
        // OpenSSL writes the curve's parameters in a block of their own before the key.
        let key = pem.firstRange(of: "-----BEGIN EC PRIVATE KEY-----").map { String(pem[$0.lowerBound...]) } ?? pem
        do { self.key = try P256.Signing.PrivateKey(pemRepresentation: key) } catch {
            throw CertificateError("not a P-256 private key in PEM")
        }
    }

    /// To be kept where only its owner reads it.
    package var pem: String { key.pemRepresentation + "\n" }

    /// Whether the certificate is for this key.
    package func fits(_ certificate: TransportCertificate) -> Bool {
        certificate.publicKey == key.publicKey.x963Representation
    }

    /// A certificate request (PKCS #10, RFC 2986) in DER, signed with this key.
    package func request(named name: String) throws(CertificateError) -> Data {
        do {
            let request = try CertificateSigningRequest(
                version: .v1, subject: try DistinguishedName { CommonName(name) }, privateKey: .init(key),
                attributes: .init(), signatureAlgorithm: .ecdsaWithSHA256)
            var serializer = DER.Serializer()
            try request.serialize(into: &serializer)
            return Data(serializer.serializedBytes)
        } catch {
            throw CertificateError("the certificate request can't be made: \(error)")
        }
    }
}

/// A certificate request that was checked: who sent it has the key that it names.
package struct CertificateRequest: Sendable {
    package static let largest = 2048

    let publicKey: P256.Signing.PublicKey

    package init(der: Data) throws(CertificateError) {
        guard der.count <= Self.largest else { throw CertificateError("a certificate request is too large") }
        let request: CertificateSigningRequest
        do { request = try CertificateSigningRequest(derEncoded: Array(der)) } catch {
            throw CertificateError("not a certificate request (PKCS #10)")
        }
        guard let key = P256.Signing.PublicKey(request.publicKey) else {
            throw CertificateError("the request's key is not of the curve P-256")
        }
        guard request.publicKey.isValidSignature(request.signature, for: request) else {
            throw CertificateError("the request is not signed with its own key")
        }
        publicKey = key
    }

    /// Whether the certificate is for this very key.
    package func isFor(_ certificate: TransportCertificate) -> Bool {
        certificate.publicKey == publicKey.x963Representation
    }
}
