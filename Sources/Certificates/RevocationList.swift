package import Fleet
import Crypto
import FoundationEssentials
import SwiftASN1
import X509

extension CertificateAuthority {
    /// A certificate that is not to be believed any more.
    package struct Revocation: Hashable, Sendable {
        /// As in `TransportCertificate.serial`.
        package var serial: String
        package var at: Timestamp

        package init(serial: String, at: Timestamp) {
            self.serial = serial
            self.at = at
        }
    }

    /// The list of revoked certificates in PEM (RFC 5280 §5), which swift-certificates cannot write.
    ///
    /// It is valid for as long as the authority: an overdue list would lock everybody out. OpenSSL prefers the list with the later
    /// `thisUpdate` and refuses one from the future, so `thisUpdate` has to grow with every list by whole seconds.
    package func revocationList(
        _ revocations: [Revocation], number: Int, at thisUpdate: Timestamp
    ) throws(CertificateError) -> String {
        do {
            var serializer = DER.Serializer()
            let content = Content(authority: self, revocations: revocations, number: number, thisUpdate: thisUpdate)
            try serializer.serialize(content)
            let body = serializer.serializedBytes
            let signature = try key.signature(for: body)
            var list = DER.Serializer()
            try list.appendConstructedNode(identifier: .sequence) { list in
                list.serializeRawBytes(body)
                try Self.algorithm(into: &list)
                try list.serialize(ASN1BitString(bytes: ArraySlice(signature.derRepresentation)))
            }
            return PEMDocument(type: "X509 CRL", derBytes: list.serializedBytes).pemString + "\n"
        } catch {
            throw CertificateError("the list of revoked certificates can't be made: \(error)")
        }
    }

    /// ecdsa-with-SHA256 (RFC 5758 §3.2).
    fileprivate static func algorithm(into serializer: inout DER.Serializer) throws {
        try serializer.appendConstructedNode(identifier: .sequence) { serializer in
            try serializer.serialize([1, 2, 840, 10045, 4, 3, 2] as ASN1ObjectIdentifier)
        }
    }
}

/// TBSCertList (RFC 5280 §5.1).
private struct Content: DERSerializable {
    var authority: CertificateAuthority
    var revocations: [CertificateAuthority.Revocation]
    var number: Int
    var thisUpdate: Timestamp

    func serialize(into serializer: inout DER.Serializer) throws {
        try serializer.appendConstructedNode(identifier: .sequence) { serializer in
            try serializer.serialize(1)
            try CertificateAuthority.algorithm(into: &serializer)
            try serializer.serialize(authority.certificate.subject)
            try Self.time(thisUpdate, into: &serializer)
            try Self.time(authority.notAfter, into: &serializer)
            if !revocations.isEmpty {
                try serializer.appendConstructedNode(identifier: .sequence) { serializer in
                    for revocation in revocations {
                        try serializer.appendConstructedNode(identifier: .sequence) { serializer in
                            try serializer.serialize(Self.integer(revocation.serial))
                            try Self.time(revocation.at, into: &serializer)
                        }
                    }
                }
            }
            try serializer.appendConstructedNode(identifier: .init(tagWithNumber: 0, tagClass: .contextSpecific)) {
                serializer in
                try serializer.appendConstructedNode(identifier: .sequence) { serializer in
                    let issuer = AuthorityKeyIdentifier(
                        keyIdentifier: CertificateAuthority.identifier(of: authority.certificate))
                    try serializer.serialize(Certificate.Extension(issuer, critical: false))
                    var count = DER.Serializer()
                    try count.serialize(number)
                    try serializer.serialize(
                        Certificate.Extension(oid: [2, 5, 29, 20], critical: false, value: count.serializedBytes[...]))
                }
            }
        }
    }

    private static func integer(_ hex: String) throws -> ArraySlice<UInt8> {
        var bytes: [UInt8] = []
        var digits = Substring(hex)
        while !digits.isEmpty {
            guard let byte = UInt8(digits.prefix(2), radix: 16) else { throw CertificateError("\(hex) is no serial") }
            bytes.append(byte)
            digits = digits.dropFirst(2)
        }
        return bytes[...]
    }

    /// UTCTime until 2049, GeneralizedTime afterwards (RFC 5280 §5.1.2.4).
    private static func time(_ instant: Timestamp, into serializer: inout DER.Serializer) throws {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let parts = calendar.dateComponents([.year, .month, .day, .hour, .minute, .second], from: instant.date)
        guard let year = parts.year, let month = parts.month, let day = parts.day, let hours = parts.hour,
            let minutes = parts.minute, let seconds = parts.second
        else { throw CertificateError("\(instant) is no date") }
        if year < 2050 {
            try serializer.serialize(
                UTCTime(year: year, month: month, day: day, hours: hours, minutes: minutes, seconds: seconds))
        } else {
            try serializer.serialize(
                GeneralizedTime(
                    year: year, month: month, day: day, hours: hours, minutes: minutes, seconds: seconds,
                    fractionalSeconds: 0))
        }
    }
}
