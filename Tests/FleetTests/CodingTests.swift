import Fleet
import Foundation
import Testing
import TestSupport

@Suite("What stands in files and messages is read back as it was written")
struct CodingTests {
    private func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    private func read<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
        try JSONDecoder().decode(type, from: Data(text.utf8))
    }

    private func expectRoundTrip<Value: Codable & Equatable>(_ value: Value) throws {
        #expect(try read(Value.self, try json(value)) == value)
    }

    private let ticket = BootTicket(
        group: "edge", machine: "edge-1", broker: "mqtt://127.0.0.1:1883", root: "trunkline", groupKey: "a2V5",
        ticket: "t-1",
        secret: "c2VjcmV0", expires: Timestamp(milliseconds: 0))

    @Test("A boot ticket")
    func bootTicket() throws {
        let text =
            #"{"broker":"mqtt://127.0.0.1:1883","expires":"1970-01-01T00:00:00.000Z","group":"edge","group_key":"a2V5","machine":"edge-1","root":"trunkline","secret":"c2VjcmV0","ticket":"t-1","v":1,"wire":[2]}"#
        #expect(try json(ticket) == text)
        #expect(try read(BootTicket.self, text) == ticket)
        var invitation = ticket
        invitation.machine = nil
        #expect(!(try json(invitation)).contains("machine"))
        try expectRoundTrip(invitation)
    }

    @Test(
        "A boot ticket with a key missing or of another kind is refused",
        arguments: ["v", "group", "broker", "root", "group_key", "ticket", "secret", "expires"])
    func damagedTicket(key: String) throws {
        let whole = try JSONSerialization.jsonObject(with: Data(try json(ticket).utf8)) as? [String: Any]
        for damage in [nil, [String](), "2026-02-30T00:00:00Z" as Any?] where !(damage is String) || key == "expires" {
            var fields = try #require(whole)
            fields[key] = damage
            let text = String(decoding: try JSONSerialization.data(withJSONObject: fields), as: UTF8.self)
            #expect(throws: DecodingError.self) { try read(BootTicket.self, text) }
        }
    }

    @Test("Instants, lengths of time, platforms and part numbers are strings")
    func strings() throws {
        #expect(try json([Timestamp(milliseconds: 0)]) == #"["1970-01-01T00:00:00.000Z"]"#)
        #expect(try json([TimeSpan.seconds(90)]) == #"["90s"]"#)
        #expect(try json([Platform.exec("cloud")]) == #"["exec:cloud"]"#)
        #expect(try json([PartRanges(upTo: 3)]) == #"["0-2"]"#)
        for text in [#"["x"]"#, "[1]", "[null]", "[{}]"] {
            #expect(throws: DecodingError.self) { try read([Timestamp].self, text) }
            #expect(throws: DecodingError.self) { try read([TimeSpan].self, text) }
            #expect(throws: DecodingError.self) { try read([Platform].self, text) }
            #expect(throws: DecodingError.self) { try read([PartRanges].self, text) }
        }
    }

    @Test("Orders, with plain values and secrets by name")
    func order() throws {
        let order = Order(
            generation: 3, action: .run, software: SoftwareReference(name: "kamailio", version: "5.6.3"), digest: "d1",
            environment: ["PORT": .plain("5060"), "KEY": .secret("sip-key")])
        try expectRoundTrip(order)
        var later = order
        later.generation = 4
        #expect(order.asksTheSame(as: later))
        later.environment["KEY"] = .plain("sip-key")
        #expect(!order.asksTheSame(as: later), "a secret's name is not its value")
        #expect(!order.runsTheSame(as: later))
        later = order
        later.action = .stop
        #expect(!order.asksTheSame(as: later) && !order.runsTheSame(as: later))
        later.action = .drain
        #expect(!order.asksTheSame(as: later) && order.runsTheSame(as: later))
    }

    @Test("What a status consists of", arguments: 1...30 as ClosedRange<UInt64>)
    func status(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        func number() -> Int { Int.random(in: 0...1_000_000, using: &generator) }
        try expectRoundTrip(
            RunningSoftware(
                name: "n\(number())", version: "\(number())", digest: "\(number())",
                generation: number(), health: Health.allCases.randomElement(using: &generator) ?? .unknown,
                since: Timestamp(milliseconds: Int64(number()) * 1_000_003), restarts: number()))
        var have = PartRanges()
        for _ in 0..<20 { have.insert(number() % 64) }
        try expectRoundTrip(Receiving(digest: "\(number())", have: have))
        try expectRoundTrip(
            MachineFacts(host: "h\"\\\n🦊", os: "Debian 12", arch: "x86_64", cores: number(), memory: .max))
        try expectRoundTrip(MachineState.allCases)
    }

    @Test("Rules' actions and expressions, however deep")
    func rules() throws {
        for rule in Rule.defaults {
            try expectRoundTrip(rule.when)
            try expectRoundTrip(rule.action)
            try expectRoundTrip(rule.limit)
        }
        try expectRoundTrip([Action.scale(-2), .scaleTo(5), .notify("é\"\n")])
        var deep = Expression.metric("calls")
        for _ in 0..<20 { deep = .unary(.negate, deep) }
        try expectRoundTrip(deep)
        for fact in Fact.allCases { try expectRoundTrip(Expression.aggregate(.count, .fact(fact))) }
    }

    @Test("Events")
    func events() throws {
        for kind in EventEntry.Kind.allCases {
            try expectRoundTrip(
                EventEntry(
                    id: 7, at: Timestamp(milliseconds: 1), group: "edge", machine: nil, kind: kind, actor: "manager",
                    message: "m", facts: ["rule": "r"]))
        }
    }
}

@Suite("A machine's state is what it last said, unless it is away")
struct MachineRecordTests {
    private var machine = MachineRecord(
        id: "edge-1", group: "edge", index: 0, platform: .local, phase: .launching,
        phaseSince: Timestamp(milliseconds: 0))

    @Test("Idle before it said anything, then what it says, and away whatever it said")
    func state() {
        var machine = machine
        #expect(machine.state == .idle)
        for state in MachineState.allCases {
            machine.reported.status = Status(
                group: "edge", machine: "edge-1", session: 1, sequence: 1, at: Timestamp(milliseconds: 0), state: state)
            machine.judged.awaySince = nil
            #expect(machine.state == state)
            machine.judged.awaySince = Timestamp(milliseconds: 1)
            #expect(machine.state == .away)
        }
    }
}
