import Fleet
package import FoundationEssentials
import Messaging
import Sealing

/// A boot ticket whose every field was checked.
package struct Ticket: Sendable {
    var group: String
    /// Nil: the machine names itself.
    var machine: String?
    /// Never empty.
    var brokers: [BrokerAddress]
    /// Where to get a certificate, and whom to trust (PEM); nil with a plain broker.
    var boot: (brokers: [BrokerAddress], trust: String)?
    var root: String
    var groupKey: SecurityKey.PublicKey
    var id: String
    var secret: Data
    var expires: Timestamp

    static let largestFile = 64 << 10

    /// - Parameter file: named in errors only.
    package init(_ content: Data, file: String) throws(AgentError) {
        func refused(_ why: String) -> AgentError { AgentError(.ticket, "ticket \(file): \(why)") }
        let ticket: BootTicket
        do {
            ticket = try JSONDecoder().decode(BootTicket.self, from: content)
        } catch DecodingError.keyNotFound(let key, _) {
            throw refused("has no \"\(key.stringValue)\"")
        } catch DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context) {
            throw refused("\(context.codingPath.map(\.stringValue).joined(separator: ".")) has the wrong type")
        } catch {
            throw refused("is not the JSON of a boot ticket")
        }
        guard ticket.v == 1 else { throw refused("has version \(ticket.v), and this agent knows 1") }
        guard WireVersion.common(with: ticket.wire) != nil else {
            func list(_ wires: [Int]) -> String { wires.map { "\($0)" }.joined(separator: ", ") }
            throw refused(
                "the manager speaks version \(list(ticket.wire ?? [])) of the wire, and this agent, \(Version.text), speaks \(list(WireVersion.spoken)): take an agent of the manager's release"
            )
        }
        guard Name.isValid(ticket.group) else { throw refused("\"group\" is not a name") }
        if let machine = ticket.machine, !Name.isValid(machine) { throw refused("\"machine\" is not a name") }
        guard let broker = BrokerAddress(ticket.broker) else {
            throw refused("\"broker\" is not an address such as mqtts://broker.example.net:8883")
        }
        if broker.isSecure {
            guard let text = ticket.boot, let address = BrokerAddress(text), address.isSecure else {
                throw refused("\"boot\" is not an address such as mqtts://broker.example.net:8884")
            }
            guard let trust = ticket.trust, trust.contains("-----BEGIN CERTIFICATE-----") else {
                throw refused("\"trust\" has no certificate in PEM")
            }
            boot = (Self.all(address, ticket.brokers?.boot, isSecure: true), trust)
        }
        guard Topics.isValidRoot(ticket.root) else { throw refused("\"root\" is not a topic") }
        guard let bytes = Data(base64Encoded: ticket.groupKey),
            let key = try? SecurityKey.PublicKey(rawRepresentation: bytes)
        else { throw refused("\"group_key\" is not an X25519 public key in base64") }
        guard !ticket.ticket.isEmpty, ticket.ticket.utf8.count <= 128 else { throw refused("\"ticket\" is not an id") }
        guard let secret = Data(base64Encoded: ticket.secret), secret.count == 32 else {
            throw refused("\"secret\" is not 32 bytes in base64")
        }
        group = ticket.group
        machine = ticket.machine
        brokers = Self.all(broker, ticket.brokers?.known, isSecure: broker.isSecure)
        root = ticket.root
        groupKey = key
        id = ticket.ticket
        self.secret = secret
        expires = ticket.expires
    }

    /// The first and those of the list, each once; what is no address, or of the other kind, is passed over.
    static func all(_ first: BrokerAddress?, _ more: [String]?, isSecure: Bool) -> [BrokerAddress] {
        let more = (more ?? []).prefix(BrokerAddresses.most).compactMap { BrokerAddress($0) }
        var all: [BrokerAddress] = []
        for address in [first].compactMap({ $0 }) + more where address.isSecure == isSecure && !all.contains(address) {
            all.append(address)
        }
        return all
    }
}
