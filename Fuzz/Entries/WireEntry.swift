import Certificates
import Fleet
import FoundationEssentials
import Messaging
import Sealing

/// What every decoder of the wire promises of any payload: it takes it and writes the same again, or refuses it.
enum WireEntry {
    static func topic(_ bytes: [UInt8]) throws(Finding) -> Bool {
        let text = String(decoding: bytes, as: UTF8.self)
        var isTopic = false
        for root in ["trunkline", "a/b"] {
            let topics = Topics(root: root)
            guard let topic = topics.parse(text) else { continue }
            isTopic = true
            let written =
                switch topic {
                case .registration(let group, let machine): topics.register(group: group, machine: machine)
                case .order(let group, let machine): topics.order(group: group, machine: machine)
                case .status(let group, let machine): topics.status(group: group, machine: machine)
                case .log(let group, let machine): topics.log(group: group, machine: machine)
                case .part(let group, let digest, let index): topics.part(group: group, digest: digest, index: index)
                case .machinePart(let group, let machine, let digest, let index):
                    topics.machinePart(group: group, machine: machine, digest: digest, index: index)
                case .renewal(let group, let machine): topics.renewal(group: group, machine: machine)
                case .answer(let client): topics.answer(to: client)
                case .machineAnswer(let group, let machine): topics.answer(group: group, machine: machine)
                case .manager: topics.manager
                }
            try Finding.require(written.utf8.elementsEqual(text.utf8), "\(topic) is written \(written)")
        }
        return isTopic
    }

    static func registration(_ payload: Data) throws(Finding) -> Bool {
        guard let message = try decoded(payload, largest: 8192, RegistrationMessage.decode) else { return false }
        let written = RegistrationMessage.encode(
            group: message.group, machine: message.machine, credential: message.credential
        ) { _ in
            message.sealed
        } code: { _ in
            message.mac
        }
        try again(message.group, written, RegistrationMessage.decode) { $0.group }
        try again(message.machine, written, RegistrationMessage.decode) { $0.machine }
        try again(message.credential, written, RegistrationMessage.decode) { $0.credential }
        let sealed = Sealed(encapsulated: message.encapsulated, ciphertext: message.ciphertext)
        let opened = try? RegistrationSeal.open(
            sealed, with: Keys.group, from: Keys.group.publicKey, ticket: "t", secret: Keys.secret,
            authenticating: message.header)
        try Finding.require(opened == nil, "nobody seals without the secret")
        return true
    }

    static func registrationContent(_ payload: Data) throws(Finding) -> Bool {
        guard
            let content = try content(
                payload, largest: 8192, RegistrationContent.decode,
                { (content) throws(WireError) in try content.encoded() })
        else { return false }
        _ = try? SecurityKey.PublicKey(rawRepresentation: content.key)
        return true
    }

    static func certificateRequest(_ payload: Data) throws(Finding) -> Bool {
        guard let request = try? CertificateRequest(der: payload) else { return false }
        try Finding.require(payload.count <= CertificateRequest.largest, "a request is small")
        let issued = try Finding.mustWork("a request that was taken gets its certificate") {
            try Keys.authority().issue(to: "edge-1", for: .client, request: request, life: .hours(24), at: Keys.now)
        }
        try Finding.require(issued.commonName == "edge-1", "a certificate names whom the manager means")
        return true
    }

    static func order(_ payload: Data) throws(Finding) -> Bool {
        guard let message = try decoded(payload, largest: OrderMessage.largest, OrderMessage.decode) else {
            return false
        }
        let written = OrderMessage.encode(
            group: message.group, machine: message.machine, generation: message.generation, issue: message.issue,
            action: message.action,
            software: message.software, digest: message.digest
        ) { _ in message.sealed }
        try again(message.generation, written, OrderMessage.decode) { $0.generation }
        try again(message.software, written, OrderMessage.decode) { $0.software }
        try again(message.ciphertext, written, OrderMessage.decode) { $0.ciphertext }
        return true
    }

    static func orderContent(_ payload: Data) throws(Finding) -> Bool {
        try content(payload, largest: OrderMessage.largest, OrderContent.decode) { (content) throws(WireError) in
            try content.encoded()
        } != nil
    }

    static func certificate(_ payload: Data) throws(Finding) -> Bool {
        guard let message = try decoded(payload, largest: CertificateMessage.largest, CertificateMessage.decode)
        else { return false }
        let written = CertificateMessage.encode(group: message.group, machine: message.machine) { _ in
            (message.encapsulated, message.ciphertext)
        }
        try again(message.machine, written, CertificateMessage.decode) { $0.machine }
        try again(message.ciphertext, written, CertificateMessage.decode) { $0.ciphertext }
        return true
    }

    static func certificateContent(_ payload: Data) throws(Finding) -> Bool {
        guard
            let content = try content(
                payload, largest: CertificateMessage.largest, CertificateContent.decode,
                { (content) throws(WireError) in try content.encoded() })
        else { return false }
        _ = try? TransportCertificate(pem: content.certificate)
        return true
    }

    static func status(_ payload: Data) throws(Finding) -> Bool {
        if let message = try? SignedStatus(payload) {
            try Finding.require(
                Result { () throws(WireError) in try message.status() }
                    == Result { () throws(WireError) in try message.decodedStatus() },
                "a status is read as the decoder for every form reads it")
        }
        guard let message = try decoded(payload, largest: StatusMessage.largest, StatusMessage.decode) else {
            return false
        }
        let written = StatusMessage.encode(message.status) { _ in message.mac }
        try Finding.require(written.count <= StatusMessage.largest, "a status that was read can be written")
        let back = try Finding.mustWork("a written status is read") { try StatusMessage.decode(written).status }
        var (first, second) = (message.status, back)
        // A list of parts may be cut.
        first.receiving = nil
        second.receiving = nil
        try Finding.require(first == second, "a status is written as it was read")
        if let parts = message.status.receiving?.have {
            try Finding.require(PartRanges(parts.description) == parts, "parts are written as they were read")
            try Finding.require(parts.firstMissing(below: 64).map { !parts.contains($0) } ?? true, "missing is missing")
        }
        try Finding.require(
            Keys.status?.isValid(message.mac, for: message.signed) == false, "nobody has the status key")
        return true
    }

    static func managerStatus(_ payload: Data) throws(Finding) -> Bool {
        guard let message = try decoded(payload, largest: ManagerStatus.largest, ManagerStatus.decode) else {
            return false
        }
        try again(message, message.encoded(), ManagerStatus.decode) { $0 }
        return true
    }

    static func log(_ payload: Data) throws(Finding) -> Bool {
        guard let message = try decoded(payload, largest: LogMessage.largest, LogMessage.decode) else { return false }
        let written = LogMessage.encode(
            group: message.group, machine: message.machine, session: message.session, sequence: message.sequence
        ) { _ in (message.encapsulated, message.ciphertext) }
        try again(message.sequence, written, LogMessage.decode) { $0.sequence }
        try again(message.ciphertext, written, LogMessage.decode) { $0.ciphertext }
        return true
    }

    // MARK: Inside

    /// What no input can know.
    private enum Keys {
        static let group = SecurityKey()
        static let secret = Data(repeating: 7, count: 32)
        static let status = try? StatusKey(rawRepresentation: Data(repeating: 9, count: 32))
        static let now = Timestamp(milliseconds: 1_800_000_000_000)
        private static let made = Result { try CertificateAuthority(life: .hours(240), at: now) }
        static func authority() throws -> CertificateAuthority { try made.get() }
    }

    private static func decoded<Message>(
        _ payload: Data, largest: Int, _ decode: (Data) throws(WireError) -> Message
    ) throws(Finding) -> Message? {
        do {
            let message = try decode(payload)
            try Finding.require(
                payload.count <= largest, "\(payload.count) bytes are taken where \(largest) are allowed")
            return message
        } catch let finding as Finding {
            throw finding
        } catch let error as WireError {
            try Finding.require(error.message.utf8.count < 1024, "a refusal is short")
            return nil
        } catch {
            throw Finding("another error: \(error)")
        }
    }

    private static func again<Message, Value: Equatable>(
        _ value: Value, _ written: Data, _ decode: (Data) throws(WireError) -> Message, _ part: (Message) -> Value
    ) throws(Finding) {
        let back = try Finding.mustWork("what is written is read") { try decode(written) }
        try Finding.require(part(back) == value, "\(value) comes back as \(part(back))")
    }

    private static func content<Content: Equatable>(
        _ payload: Data, largest: Int, _ decode: (Data) throws(WireError) -> Content,
        _ encode: (Content) throws(WireError) -> Data
    ) throws(Finding) -> Content? {
        guard let content = try decoded(payload, largest: largest, decode) else { return nil }
        let written = try Finding.mustWork("a content is written") { try encode(content) }
        // Escapes may make it longer than it came.
        guard written.count <= largest else { return content }
        try again(content, written, decode) { $0 }
        return content
    }
}
