import Fleet
import FoundationEssentials
import Messaging
import Testing
import TestSupport

@Suite("Registrations, orders and the rest on the wire")
struct SealedMessageTests {
    static let facts = MachineFacts(host: "den-7", os: "Debian 12", arch: "x86_64", cores: 2, memory: 8 << 30)

    static func order(_ random: inout SeededGenerator, header: inout Data) -> Data {
        let sealed = (encapsulated: Data(random.bytes(32)), ciphertext: Data(random.bytes(500)))
        return OrderMessage.encode(
            group: random.name(), machine: random.name(), generation: 7, issue: Issue(epoch: 1, number: 9),
            action: "run",
            software: SoftwareReference(name: random.name(), version: "1.0"), digest: random.digest()
        ) { bytes in
            header = bytes
            return sealed
        }
    }

    @Test("a registration is read as it was written", arguments: 0..<50)
    func registration(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let (group, machine, ticket) = (random.name(), random.name(), random.name())
        let key = Data(random.bytes(32))
        let sealed = (
            encapsulated: Data(random.bytes(32)),
            ciphertext: Data(random.bytes(Int.random(in: 1...900, using: &random)))
        )
        var header = Data()
        let payload = RegistrationMessage.encode(group: group, machine: machine, credential: .ticket(ticket, key: key))
        { bytes in
            header = bytes
            return sealed
        } code: {
            Data(repeating: UInt8($0.count & 255), count: 32)
        }
        let read = try RegistrationMessage.decode(payload)
        #expect((read.group, read.machine, read.credential) == (group, machine, .ticket(ticket, key: key)))
        #expect(read.mac == Data(repeating: UInt8(read.signed.count & 255), count: 32))
        #expect(
            payload.starts(with: read.signed)
                && payload.dropFirst(read.signed.count).starts(with: Data(",\"mac\":".utf8)))
        #expect(read.sealed == sealed)
        #expect(read.header == header)
        #expect(
            String(decoding: header, as: UTF8.self)
                == #"{"v":2,"group":"\#(group)","machine":"\#(machine)","ticket":"\#(ticket)","key":"\#(key.base64EncodedString())""#
        )
    }

    @Test("an order is read as it was written, and its header is readable")
    func order() throws {
        let digest = String(repeating: "ab", count: 32)
        var header = Data()
        let payload = OrderMessage.encode(
            group: "edge", machine: "edge-1", generation: 4, issue: Issue(epoch: 2, number: 9),
            action: "stop",
            software: SoftwareReference(name: "janus", version: "1.1.2"), digest: digest
        ) { bytes in
            header = bytes
            return (Data([1, 2]), Data([3]))
        }
        #expect(
            String(decoding: payload, as: UTF8.self)
                == #"{"v":2,"group":"edge","machine":"edge-1","epoch":2,"generation":4,"issue":9,"action":"stop","software":{"name":"janus","version":"1.1.2","digest":"\#(digest)"},"enc":"AQI=","sealed":"Aw=="}"#
        )
        let read = try OrderMessage.decode(payload)
        #expect(
            (read.generation, read.action, read.software.description, read.digest) == (4, "stop", "janus@1.1.2", digest)
        )
        #expect(read.issue == Issue(epoch: 2, number: 9))
        #expect(read.header == header && read.encapsulated == Data([1, 2]) && read.ciphertext == Data([3]))
    }

    @Test("a changed byte is refused, or changes the header, the encapsulated key or the ciphertext", arguments: 0..<4)
    func mutations(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var header = Data()
        let payload = Self.order(&random, header: &header)
        let original = try OrderMessage.decode(payload)
        for index in payload.indices {
            var changed = payload
            changed[index] ^= UInt8.random(in: 1...255, using: &random)
            guard let decoded = try? OrderMessage.decode(changed) else { continue }
            #expect(
                decoded.header != original.header || decoded.encapsulated != original.encapsulated
                    || decoded.ciphertext != original.ciphertext, "byte \(index)")
        }
        for count in 0..<payload.count {
            #expect(throws: WireError.self) { try OrderMessage.decode(payload.prefix(count)) }
        }
        #expect(throws: WireError.self) { try OrderMessage.decode(payload + Data(" ".utf8)) }
    }

    @Test(
        "members that stand twice, are missing or are swapped are refused",
        arguments: [
            #"{"v":2,"group":"g","machine":"m","ticket":"t"}"#,
            #"{"v":2,"group":"g","machine":"m","ticket":"t","enc":"AQI="}"#,
            #"{"v":2,"group":"g","machine":"m","ticket":"t","sealed":"AQI=","enc":"AQI="}"#,
            #"{"v":2,"group":"g","machine":"m","ticket":"t","enc":"AQI=","enc":"AQI=","sealed":"AQI="}"#,
            #"{"v":2,"group":"g","machine":"m","ticket":"t","sealed":"AA==","enc":"AQI=","sealed":"AQI="}"#,
            #"{"v":2,"group":"g","machine":"m","ticket":"t","enc":"","sealed":"AQI="}"#,
            #"{"v":2,"group":"g","machine":"m","ticket":"t","enc":"AQI","sealed":"AQI="}"#,
            #"{"v":2,"group":"g","machine":"m","ticket":"","enc":"AQI=","sealed":"AQI="}"#,
            #"{"v":2,"group":"g","machine":"m","ticket":"a b","enc":"AQI=","sealed":"AQI="}"#,
            #"{"v":1,"group":"g","machine":"m","ticket":"t","enc":"AQI=","sealed":"AQI="}"#,
            #"{"v":3,"group":"g","machine":"m","ticket":"t","enc":"AQI=","sealed":"AQI="}"#,
            #"{"v":2,"group":"../x","machine":"m","ticket":"t","enc":"AQI=","sealed":"AQI="}"#, "", "{", "null",
            #","enc":""#,
        ])
    func malformed(text: String) throws {
        // Nothing else is wrong with it.
        func complete(_ text: String) -> Data {
            let key = Data(count: 32).base64EncodedString()
            let text = text.replacing(#""machine":"m","#, with: #""machine":"m","key":"\#(key)","#)
            return Data((text.hasSuffix("}") ? text.dropLast() + #","mac":"\#(key)"}"# : text).utf8)
        }
        #expect(throws: WireError.self) { try RegistrationMessage.decode(complete(text)) }
        let good = #"{"v":2,"group":"g","machine":"m","ticket":"t","enc":"AQI=","sealed":"AQI="}"#
        #expect(try RegistrationMessage.decode(complete(good)).machine == "m")
    }

    @Test("sizes are bounded before anything is parsed")
    func sizes() {
        #expect { try RegistrationMessage.decode(Data(count: 8 << 10 + 1)) } throws: {
            ($0 as? WireError)?.code == .tooLarge
        }
        #expect { try OrderMessage.decode(Data(count: 256 << 10 + 1)) } throws: {
            ($0 as? WireError)?.code == .tooLarge
        }
    }

    @Test("noise never traps", arguments: 0..<200)
    func noise(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let pieces = [
            #"{"v":2"#, #","enc":""#, #","sealed":""#, #","mac":""#, "AQI=", "\"}", "}", "\"", "{", "[", "\u{0}", "🦊",
        ]
        let text = (0..<12).map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
        for payload in [Data(text.utf8), Data(random.bytes(Int.random(in: 0...100, using: &random)))] {
            #expect(throws: WireError.self) { try StatusMessage.decode(payload) }
            #expect(throws: WireError.self) { try RegistrationMessage.decode(payload) }
            #expect(throws: WireError.self) { try OrderMessage.decode(payload) }
            #expect(throws: WireError.self) { try ManagerStatus.decode(payload) }
            #expect(throws: WireError.self) { try LogMessage.decode(payload) }
            #expect(throws: WireError.self) { try LogContent.decode(payload) }
        }
    }

    @Test("a changed, cut or spliced message never traps, whoever reads it", arguments: 0..<20)
    func mutatedEverywhere(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var header = Data()
        let good: [Data] = [
            StatusMessage.encode(StatusMessageTests.status(&random), code: StatusMessageTests.code),
            RegistrationMessage.encode(
                group: random.name(), machine: random.name(),
                credential: .ticket(random.name(), key: Data(random.bytes(32)))
            ) { _ in
                (Data(random.bytes(32)), Data(random.bytes(200)))
            } code: { _ in
                Data(count: 32)
            },
            Self.order(&random, header: &header),
            ManagerStatus(state: .away, at: Timestamp(milliseconds: 5), version: "1.2.3").encoded(),
            LogMessage.encode(group: "g", machine: "m", session: 1, sequence: 2) { _ in
                (Data(random.bytes(32)), Data(random.bytes(100)))
            },
            try RegistrationContent(
                machine: "m", key: Data(random.bytes(32)), nonce: Data(random.bytes(16)), facts: Self.facts
            ).encoded(),
        ]
        let readers: [(Data) throws -> Void] = [
            { _ = try StatusMessage.decode($0) }, { _ = try RegistrationMessage.decode($0) },
            { _ = try OrderMessage.decode($0) }, { _ = try ManagerStatus.decode($0) },
            { _ = try LogMessage.decode($0) }, { _ = try RegistrationContent.decode($0) },
        ]
        for (index, payload) in good.enumerated() {
            for (reader, read) in readers.enumerated() {
                if reader == index {
                    try read(payload)
                } else {
                    #expect(throws: WireError.self, "message \(index), reader \(reader)") { try read(payload) }
                }
            }
            for _ in 0..<40 {
                var changed = payload
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    let at = Int.random(in: 0..<changed.count, using: &random)
                    switch Int.random(in: 0..<3, using: &random) {
                    case 0: changed[at] = UInt8.random(in: 0...255, using: &random)
                    case 1: changed.removeSubrange(at..<min(at + 9, changed.count - 1))
                    default: changed.insert(contentsOf: payload.suffix(30), at: at)
                    }
                }
                // Most are refused; what is taken by chance was at least read within bounds.
                for read in readers { try? read(changed) }
                #expect(throws: WireError.self) { try readers[index](payload.prefix(payload.count - 1)) }
            }
        }
    }

    @Test("sealed contents are read as they were written, and checked")
    func contents() throws {
        let registration = RegistrationContent(
            machine: "m-1", key: Data(count: 32), nonce: Data(count: 16), facts: Self.facts)
        #expect(try RegistrationContent.decode(registration.encoded()) == registration)
        var short = registration
        short.key = Data(count: 31)
        #expect(throws: WireError.self) { try RegistrationContent.decode(short.encoded()) }

        let order = OrderContent(
            action: .run, generation: 3, issue: Issue(epoch: 1, number: 4), digest: String(repeating: "0", count: 64),
            size: 262_145, parts: 2,
            contentKey: Data(count: 32), delivery: .individual,
            manifest: SoftwareManifest(name: "kamailio", version: "5.6.3", service: "voice", run: ["./start.sh"]),
            environment: ["SIP_PORT": "5060", "EMPTY": ""], heartbeat: .seconds(10),
            trust: .init(authorities: "pem", authority: "id", groupKey: Data(count: 32)), session: 7)
        #expect(try OrderContent.decode(order.encoded()) == order)
        for change: (inout OrderContent) -> Void in [
            { $0.parts = 3 }, { $0.partSize = 0 }, { $0.size = -1 }, { $0.size = .max }, { $0.contentKey = Data() },
            { $0.digest = "x" }, { $0.generation = -1 }, { $0.issue = Issue(epoch: 1, number: -1) },
            { $0.environment = ["A=B": "c"] },
            { $0.environment = ["A": "\u{0}"] },
            { $0.session = -1 }, { $0.session = .max }, { $0.reason = String(repeating: "x", count: 1025) },
            { $0.heartbeat = .zero }, { $0.manifest.run = [] }, { $0.trust?.groupKey = Data(count: 31) },
        ] {
            var changed = order
            change(&changed)
            #expect(throws: WireError.self) { try OrderContent.decode(changed.encoded()) }
        }
    }

    @Test("what an earlier manager leaves out of an order is not there, and what a later one adds is passed over")
    func otherVersionsOfAnOrder() throws {
        let order = OrderContent(
            action: .run, generation: 3, issue: Issue(epoch: 1, number: 4), digest: String(repeating: "0", count: 64),
            size: 1, parts: 1,
            contentKey: Data(count: 32), delivery: .shared,
            manifest: SoftwareManifest(name: "kamailio", version: "5.6.3", service: "voice", run: ["./start.sh"]),
            environment: [:], heartbeat: .seconds(10))
        let text = String(decoding: try order.encoded(), as: UTF8.self)
        #expect(!text.contains("session") && !text.contains("reason"))
        let later = text.replacing(#"{"action""#, with: #"{"later":4,"action""#)
        #expect(later != text)
        #expect(try OrderContent.decode(Data(later.utf8)) == order)
        let payload = Data(
            (#"{"v":2,"later":4,"group":"g","machine":"m","epoch":1,"generation":3,"issue":4,"action":"leave","#
                + #""software":{"name":"k","version":"1","digest":"\#(order.digest)","x":1},"enc":"AQI=","sealed":"AQI="}"#)
                .utf8)
        #expect(try OrderMessage.decode(payload).action == "leave")
    }

    @Test("a dismissal says why, within bounds, as an order and as the answer to a registration")
    func dismissals() throws {
        let order = OrderContent.leave(generation: 9, reason: String(repeating: "é", count: 600))
        let read = try OrderContent.decode(order.encoded())
        #expect(read == order && read.action == .leave && read.generation == 9)
        #expect(read.reason == String(repeating: "é", count: 512))
        let answer = CertificateContent(answering: Data(count: 16), dismissed: "group edge was removed")
        let back = try CertificateContent.decode(answer.encoded())
        #expect(back.dismissed == "group edge was removed" && back.certificate.isEmpty && back.trust.isEmpty)
        var long = answer
        long.dismissed = String(repeating: "x", count: 1025)
        #expect(throws: WireError.self) { try CertificateContent.decode(long.encoded()) }
        let certificate = CertificateContent(answering: Data(count: 16), certificate: "a", trust: "b")
        #expect(try CertificateContent.decode(certificate.encoded()).dismissed == nil)
        #expect(!String(decoding: try certificate.encoded(), as: UTF8.self).contains("dismissed"))
    }

    @Test("the manager's status and log lines are read as they were written")
    func plain() throws {
        let status = ManagerStatus(state: .online, at: Timestamp(milliseconds: 0), version: "0.1.0")
        #expect(
            String(decoding: status.encoded(), as: UTF8.self)
                == #"{"v":2,"state":"online","at":"1970-01-01T00:00:00.000Z","version":"0.1.0"}"#)
        #expect(try ManagerStatus.decode(status.encoded()) == status)
    }

    @Test(
        "lines of a log are text for people, in as many bounded messages as they need",
        arguments: [0, 1, 100, 101, 5000])
    func logMessages(count: Int) throws {
        let lines = (0..<count).map { (index: Int) -> LogLine in
            let rest = index % 50 == 0 ? String(repeating: "\"", count: 9999) : String(repeating: "x", count: 40)
            return LogLine(
                at: Timestamp(milliseconds: Int64(index)), stream: .stderr, text: "\(index) \u{1b}[31m" + rest)
        }
        let live = LogContent.messages(request: 7, isTail: false, lines)
        let tail = LogContent.messages(request: 7, isTail: true, lines)
        #expect(live.flatMap(\.lines) == tail.flatMap(\.lines) && live.flatMap(\.lines).count == count)
        #expect(live.allSatisfy { $0.tail == nil } && live.count == (count == 0 ? 0 : tail.count))
        #expect(tail.dropLast().allSatisfy { $0.tail == .part } && tail.last?.tail == .last)
        for content in tail {
            let plaintext = try content.encoded()
            #expect(try LogContent.decode(plaintext) == content)
            #expect(content.lines.count <= LogContent.mostLines)
            #expect(content.lines.allSatisfy { $0.text.isPlain && $0.text.utf8.count <= LogContent.longestLine })
            let payload = LogMessage.encode(
                group: String(repeating: "g", count: 63), machine: String(repeating: "m", count: 63),
                session: 1 << 52, sequence: 1 << 52
            ) { _ in (Data(count: 32), plaintext + Data(count: 16)) }
            #expect(payload.count <= LogMessage.largest)
        }
    }
}
