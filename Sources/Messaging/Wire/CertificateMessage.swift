import Fleet
package import FoundationEssentials

/// The manager's answer to a registration, sealed to the machine's key: a certificate, with which the machine connects as itself and
/// finds its order, or the word that it is not wanted any more.
package struct CertificateMessage: Hashable, Sendable {
    package let group: String
    package let machine: String
    /// The bytes before `,"enc":`, which the seal authenticates.
    package let header: Data
    package let encapsulated: Data
    package let ciphertext: Data

    package static let largest = 64 << 10

    /// `seal` is given the header's bytes to authenticate.
    package static func encode<Failure: Error>(
        group: String, machine: String, seal: (Data) throws(Failure) -> (encapsulated: Data, ciphertext: Data)
    ) throws(Failure) -> Data {
        var json = JSONWriter()
        json.write("v", WireVersion.newest)
        json.write("group", group)
        json.write("machine", machine)
        return try SealedTail.seal(json.open, seal)
    }

    package static func decode(_ payload: Data) throws(WireError) -> CertificateMessage {
        try WireChecks.size(payload, atMost: largest)
        let tail = try SealedTail(payload, keys: ["enc", "sealed"], limits: [1024, largest])
        let json = try WireChecks.decode(CertificateJSON.self, tail.object)
        try WireChecks.version(json.v)
        try WireChecks.name(json.group, "group")
        try WireChecks.name(json.machine, "machine")
        return CertificateMessage(
            group: json.group, machine: json.machine, header: tail.header, encapsulated: tail.values[0],
            ciphertext: tail.values[1])
    }
}

private struct CertificateJSON: Decodable {
    var v: Int
    var group: String
    var machine: String

    enum CodingKeys: CodingKey { case v, group, machine }

    init(from decoder: any Decoder) throws {
        try AnyKey.refuse(["enc", "sealed"], in: decoder)
        let container = try decoder.container(keyedBy: CodingKeys.self)
        v = try container.decode(Int.self, forKey: .v)
        group = try container.decode(String.self, forKey: .group)
        machine = try container.decode(String.self, forKey: .machine)
    }
}

/// What is sealed inside it; certificates in PEM.
package struct CertificateContent: Codable, Hashable, Sendable {
    /// The registration's: an answer counts for the question that waits for it, and for no other.
    package var nonce: Data
    package var certificate: String
    /// Whom to believe about the broker from now on.
    package var trust: String
    /// Why the machine is to stop its software and come no more; certificate and trust are empty then.
    package var dismissed: String?

    package init(answering nonce: Data, certificate: String, trust: String) {
        self.nonce = nonce
        self.certificate = certificate
        self.trust = trust
    }

    package init(answering nonce: Data, dismissed reason: String) {
        self.nonce = nonce
        certificate = ""
        trust = ""
        dismissed = reason.cut(to: StatusMessage.longestReason)
    }

    package func encoded() throws(WireError) -> Data { try SealedContent.encode(self) }

    package static func decode(_ json: Data) throws(WireError) -> CertificateContent {
        try WireChecks.size(json, atMost: CertificateMessage.largest)
        let content = try WireChecks.decode(CertificateContent.self, json)
        try WireChecks.require(content.nonce.count == 16, "the nonce does not have 16 bytes")
        if let reason = content.dismissed {
            try WireChecks.require(reason.utf8.count <= StatusMessage.longestReason, "the reason is too long")
        }
        return content
    }
}
