package import Fleet
package import FoundationEssentials

/// A machine's registration: who wants to join, or to come back, and the rest sealed to the group's key.
package struct RegistrationMessage: Hashable, Sendable {
    package let group: String
    package let machine: String
    package let credential: Credential
    /// The bytes before `,"enc":`, which the seal authenticates.
    package let header: Data
    package let encapsulated: Data
    package let ciphertext: Data
    /// The bytes that the MAC covers: everything before `,"mac":`.
    package let signed: Data
    /// To be checked first, since it costs a thousandth of opening the seal: who guesses uses up nothing.
    package let mac: Data

    /// What proves that the machine may register.
    package enum Credential: Hashable, Sendable {
        /// A boot ticket by its id, and the machine's public key: sealed in AuthPSK mode with the ticket's secret from that key.
        case ticket(String, key: Data)
        /// The key that it registered before, by its fingerprint: sealed in Auth mode with it, the MAC made with the status key.
        case key(String)
    }

    package static let largest = 8 << 10

    package var sealed: (encapsulated: Data, ciphertext: Data) { (encapsulated, ciphertext) }

    /// `seal` is given the header's bytes to authenticate, `code` what the MAC is to cover.
    package static func encode<Failure: Error>(
        group: String, machine: String, credential: Credential,
        seal: (Data) throws(Failure) -> (encapsulated: Data, ciphertext: Data), code: (Data) -> Data
    ) throws(Failure) -> Data {
        var json = JSONWriter()
        json.write("v", WireVersion.newest)
        json.write("group", group)
        json.write("machine", machine)
        switch credential {
        case .ticket(let ticket, let key):
            json.write("ticket", ticket)
            json.write("key", key.base64EncodedString())
        case .key(let fingerprint): json.write("fingerprint", fingerprint)
        }
        let header = json.open
        let sealed = try seal(header)
        let signed = SealedTail.close(header, [("enc", sealed.encapsulated), ("sealed", sealed.ciphertext)]).dropLast()
        return SealedTail.close(Data(signed), [("mac", code(Data(signed)))])
    }

    package static func decode(_ payload: Data) throws(WireError) -> RegistrationMessage {
        try WireChecks.size(payload, atMost: largest)
        let signed = try SealedTail(payload, keys: ["mac"], limits: [32])
        try WireChecks.require(signed.values[0].count == 32, "the MAC does not have 32 bytes")
        let tail = try SealedTail(signed.object, keys: ["enc", "sealed"], limits: [1024, largest])
        let json = try WireChecks.decode(RegistrationJSON.self, tail.object)
        try WireChecks.version(json.v)
        try WireChecks.name(json.group, "group")
        try WireChecks.name(json.machine, "machine")
        let credential: Credential
        switch (json.ticket, json.key, json.fingerprint) {
        case (let ticket?, let key?, nil):
            try WireChecks.ticket(ticket)
            let key = try WireChecks.base64(key.utf8, atMost: 32)
            try WireChecks.require(key.count == 32, "the security key does not have 32 bytes")
            credential = .ticket(ticket, key: key)
        case (nil, nil, let fingerprint?):
            try WireChecks.require(
                fingerprint.utf8.count == 16 && WireChecks.isHex(fingerprint), "the key is not a fingerprint")
            credential = .key(fingerprint)
        default: throw WireError(.malformed, "there is not one of ticket with key, and fingerprint")
        }
        return RegistrationMessage(
            group: json.group, machine: json.machine, credential: credential, header: tail.header,
            encapsulated: tail.values[0], ciphertext: tail.values[1], signed: signed.header, mac: signed.values[0])
    }
}

private struct RegistrationJSON: Decodable {
    var v: Int
    var group: String
    var machine: String
    var ticket: String?
    var key: String?
    var fingerprint: String?

    enum CodingKeys: CodingKey { case v, group, machine, ticket, key, fingerprint }

    init(from decoder: any Decoder) throws {
        try AnyKey.refuse(["enc", "sealed", "mac"], in: decoder)
        let container = try decoder.container(keyedBy: CodingKeys.self)
        v = try container.decode(Int.self, forKey: .v)
        group = try container.decode(String.self, forKey: .group)
        machine = try container.decode(String.self, forKey: .machine)
        ticket = try container.decodeIfPresent(String.self, forKey: .ticket)
        key = try container.decodeIfPresent(String.self, forKey: .key)
        fingerprint = try container.decodeIfPresent(String.self, forKey: .fingerprint)
    }
}

/// What is sealed inside a registration.
package struct RegistrationContent: Codable, Hashable, Sendable {
    package var machine: String
    /// The machine's X25519 public key.
    package var key: Data
    /// 16 bytes, made at boot.
    package var nonce: Data
    package var facts: MachineFacts
    /// A certificate request (PKCS #10, DER) and the client id to which the answer goes; nil with a plain broker.
    package var certificate: Request?

    package struct Request: Codable, Hashable, Sendable {
        package var request: Data
        package var reply: String

        package init(request: Data, reply: String) {
            self.request = request
            self.reply = reply
        }
    }

    package init(machine: String, key: Data, nonce: Data, facts: MachineFacts, certificate: Request? = nil) {
        self.machine = machine
        self.key = key
        self.nonce = nonce
        self.facts = facts
        self.certificate = certificate
    }

    package func encoded() throws(WireError) -> Data { try SealedContent.encode(self) }

    package static func decode(_ json: Data) throws(WireError) -> RegistrationContent {
        try WireChecks.size(json, atMost: RegistrationMessage.largest)
        var content = try WireChecks.decode(RegistrationContent.self, json)
        try WireChecks.name(content.machine, "machine")
        try WireChecks.require(content.key.count == 32, "the security key does not have 32 bytes")
        try WireChecks.require(content.nonce.count == 16, "the nonce does not have 16 bytes")
        // A machine with a strange host name joins all the same.
        for fact in [\MachineFacts.host, \.os, \.arch] {
            try WireChecks.require(content.facts[keyPath: fact].utf8.count <= 255, "a fact is out of range")
            content.facts[keyPath: fact] = content.facts[keyPath: fact].forPeople(atMost: 255)
        }
        content.facts.agent = content.facts.agent?.forPeople(atMost: StatusMessage.longestVersion)
        content.facts.wires = content.facts.wires.map(WireVersion.plausible)
        if let certificate = content.certificate {
            try WireChecks.name(certificate.reply, "the client id for the answer")
            try WireChecks.require(certificate.request.count <= 2048, "the certificate request is too large")
        }
        try WireChecks.count(content.facts.cores, "cores")
        try WireChecks.count(content.facts.memory, "memory")
        return content
    }
}

enum SealedContent {
    static func encode(_ content: some Encodable) throws(WireError) -> Data {
        do {
            return Data(try JSONText.bytes(of: content))
        } catch {
            throw WireError(.malformed, "cannot be written as JSON: \(String(describing: error).cut(to: 200))")
        }
    }
}
