import Fleet
import FoundationEssentials
import Messaging
import Testing
import TestSupport

@Suite("Status on the wire")
struct StatusMessageTests {
    /// Not a real MAC, but every byte and its place count.
    static func code(_ data: Data) -> Data {
        var code = [UInt8](repeating: 7, count: 32)
        for (index, byte) in data.enumerated() {
            code[index % 32] = code[index % 32] &* 31 &+ byte &+ UInt8(index & 0xff)
        }
        return Data(code)
    }

    static func status(_ random: inout SeededGenerator) -> Status {
        var status = Status(
            group: random.name(), machine: random.name(), session: Int.random(in: 0..<(1 << 53), using: &random),
            sequence: Int.random(in: 0...1_000_000, using: &random),
            at: Timestamp(milliseconds: Int64.random(in: 0...4_000_000_000_000, using: &random)),
            state: MachineState.allCases.randomElement(using: &random) ?? .idle,
            order: Int.random(in: 0...1000, using: &random))
        if Bool.random(using: &random) {
            status.software = RunningSoftware(
                name: random.name(), version: "1.2.3-rc~1", digest: random.digest(), generation: 4,
                health: Health.allCases.randomElement(using: &random) ?? .unknown,
                since: Timestamp(milliseconds: 1_795_000_000_000), restarts: 2)
        }
        if Bool.random(using: &random) {
            var have = PartRanges(upTo: 5)
            have.insert(9)
            status.receiving = Receiving(
                digest: random.digest(), have: have, index: Bool.random(using: &random) ? true : nil)
        }
        for _ in 0..<Int.random(in: 0...8, using: &random) {
            let value = [
                0, 3, -1.5, 1e300, 2.2250738585072014e-308, 0.1, 9_007_199_254_740_992, -0.0,
                Double.random(in: -1e6...1e6, using: &random),
            ]
            status.metrics[random.name()] = value.randomElement(using: &random)
        }
        if Bool.random(using: &random) { status.reason = random.text() }
        if Bool.random(using: &random) { status.holder = String(random.digest().prefix(8)) }
        status.issue = Issue(epoch: .random(in: 0...9, using: &random), number: .random(in: 0...999, using: &random))
        if Bool.random(using: &random) { status.agent = "0.\(Int.random(in: 0...9, using: &random)).0-rc1" }
        if Bool.random(using: &random) { status.wires = [2, 3] }
        if Bool.random(using: &random) {
            status.heartbeat = .milliseconds(.random(in: 1...86_400_000, using: &random))
        }
        return status
    }

    @Test("what is encoded is decoded as the same", arguments: 0..<300)
    func roundTrip(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let status = Self.status(&random)
        let decoded = try StatusMessage.decode(StatusMessage.encode(status, code: Self.code))
        var said = status
        said.reason = status.reason?.forPeople(atMost: StatusMessage.longestReason)
        #expect(decoded.status == said)
        #expect(decoded.mac == Self.code(decoded.signed))
    }

    /// What comes of it by either reading.
    private func verdicts(_ payload: Data) throws -> [Result<Status, WireError>] {
        let message = try SignedStatus(payload)
        return [
            Result { () throws(WireError) in try message.status() },
            Result { () throws(WireError) in try message.decodedStatus() },
        ]
    }

    @Test("whatever stands in it is read as a decoder for every form of JSON reads it", arguments: 0..<300)
    func sameVerdict(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let honest = Array(StatusMessage.encode(Self.status(&random), code: Self.code))
        let tail = try SignedStatus(Data(honest)).signed.count
        let strange = Array("0123456789-+.eE\"\\,:{}[] \n\u{7f}nul\u{e9}".utf8)
        var differing = 0
        for _ in 0..<40 {
            var payload = honest
            for _ in 0..<Int.random(in: 0...2, using: &random) {
                let place = Int.random(in: 1..<(tail - 1), using: &random)
                let byte = strange.randomElement(using: &random) ?? 0
                switch Int.random(in: 0..<3, using: &random) {
                case 0: payload[place] = byte
                case 1: payload.insert(byte, at: place)
                default: payload.remove(at: place)
                }
            }
            let verdicts = try verdicts(Data(payload))
            #expect(verdicts[0] == verdicts[1], "\(String(decoding: payload, as: UTF8.self))")
            if case .failure = verdicts[0] { differing += 1 }
        }
        #expect((1..<40).contains(differing))
    }

    @Test(
        "numbers are read as JSON has them",
        arguments: [
            "0", "-0", "7", "-7", "007", "-01", "0.5", "-0.25", "0.30000000000000004", "1.", ".5", "+1", "1e3", "1E-3",
            "9007199254740993", "12345678901234567890", "0.1234567890123456789012", "1e999", "-", "--1", "NaN", "0x10",
            "1 ", " 1", "\"1\"", "null", "true", "1.5.5", "1,\"m\":2", "1,\"n\":2",
        ])
    func numbers(text: String) throws {
        let status = Status(
            group: "g", machine: "g-1", session: 1, sequence: 1, at: Timestamp(milliseconds: 0), state: .running,
            metrics: ["m": 424_242])
        let honest = String(decoding: StatusMessage.encode(status, code: Self.code), as: UTF8.self)
        let verdicts = try verdicts(Data(honest.replacing("424242", with: text).utf8))
        #expect(verdicts[0] == verdicts[1])
    }

    @Test("what a hostile machine says for people is text in the status, and the machine is heard")
    func hostile() throws {
        let status = Status(
            group: "g", machine: "g-1", session: 1, sequence: 1, at: Timestamp(milliseconds: 0), state: .running)
        let honest = String(decoding: StatusMessage.encode(status, code: Self.code), as: UTF8.self)
        let hostile = honest.replacing(
            #""order":[0,0,0]"#,
            with: #""order":[0,0,0],"metrics":{"a\n\u001b[2J":1,"b\u202e":2},"reason":"x\n\u009b2J\u2028y""#)
        let heard = try StatusMessage.decode(Data(hostile.utf8)).status
        #expect(heard.metrics == ["a\\n\\u{1b}[2J": 1, "b\\u{202e}": 2])
        #expect(heard.reason == "x\\n\\u{9b}2J\\u{2028}y")
    }

    @Test("the members have their order, and what is absent is left out")
    func order() {
        var status = Status(
            group: "edge", machine: "edge-1", session: 3, sequence: 0, at: Timestamp(milliseconds: 1_795_412_460_123),
            state: .away)
        let will = StatusMessage.encode(status) { _ in Data(repeating: 0, count: 32) }
        #expect(
            String(decoding: will, as: UTF8.self)
                == #"{"v":2,"group":"edge","machine":"edge-1","session":3,"seq":0,"at":"2026-11-23T05:41:00.123Z","state":"away","order":[0,0,0],"#
                + #""mac":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}"#)
        status.software = RunningSoftware(
            name: "kamailio", version: "5.6.3", digest: String(repeating: "a", count: 64), generation: 2,
            health: .passing,
            since: Timestamp(milliseconds: 0), restarts: 0)
        status.metrics = ["calls": 3, "b": 0.5, "a": 1e20]
        status.reason = "a \"quote\"\n"
        status.holder = "00c0ffee"
        status.heartbeat = .seconds(10)
        status.issue = Issue(epoch: 2, number: 7)
        (status.agent, status.wires) = ("0.4.0", [2, 3])
        let text = String(decoding: StatusMessage.encode(status) { _ in Data(repeating: 0, count: 32) }, as: UTF8.self)
        #expect(
            text.contains(
                #","session":3,"seq":0,"holder":"00c0ffee","at":"2026-11-23T05:41:00.123Z","agent":"0.4.0","wire":[2,3],"state":"#
            ))
        #expect(text.contains(#","order":[2,0,7],"heartbeat":"10s","software":{"#))
        #expect(text.contains(#""software":{"name":"kamailio","version":"5.6.3","digest":"aaaa"#))
        #expect(text.contains(#","metrics":{"a":1e+20,"b":0.5,"calls":3},"reason":"a \"quote\"\\n","mac":""#))
    }

    @Test("the MAC covers exactly the bytes before its member")
    func covered() throws {
        var random = SeededGenerator(seed: 11)
        var status = Self.status(&random)
        status.reason = #"x","mac":"AAAA"#
        var signed = Data()
        let payload = StatusMessage.encode(status) { bytes in
            signed = bytes
            return Self.code(bytes)
        }
        #expect(payload.starts(with: signed))
        #expect(payload.dropFirst(signed.count).starts(with: Data(#","mac":""#.utf8)))
        #expect(try StatusMessage.decode(payload).signed == signed)
    }

    @Test("a changed byte is refused, or changes what is verified", arguments: 0..<6)
    func mutations(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let payload = StatusMessage.encode(Self.status(&random), code: Self.code)
        for index in payload.indices {
            var changed = payload
            changed[index] ^= UInt8.random(in: 1...255, using: &random)
            guard let decoded = try? StatusMessage.decode(changed) else { continue }
            #expect(decoded.mac != Self.code(decoded.signed), "byte \(index)")
        }
    }

    @Test("a truncated or extended message is refused")
    func lengths() {
        var random = SeededGenerator(seed: 5)
        let payload = StatusMessage.encode(Self.status(&random), code: Self.code)
        for count in 0..<payload.count {
            #expect(throws: WireError.self) { try StatusMessage.decode(payload.prefix(count)) }
        }
        for suffix in [" ", "\n", "}", "\0", ",\"x\":1}"] {
            #expect(throws: WireError.self) { try StatusMessage.decode(payload + Data(suffix.utf8)) }
        }
    }

    static let zeroMAC = #","mac":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}"#
    static let good =
        #"{"v":2,"group":"g","machine":"m","session":1,"seq":1,"at":"2026-11-23T05:41:00.123Z","state":"idle","order":[1,0,2]"#

    @Test("a plain one is taken")
    func plain() throws { _ = try StatusMessage.decode(Data((Self.good + Self.zeroMAC).utf8)) }

    @Test("a member that is not known is passed over")
    func unknownMembers() throws {
        let known = try StatusMessage.decode(Data((Self.good + Self.zeroMAC).utf8))
        for member in [#","wires":[2]"#, #","agents":"9.0","x":{"mac":null}"#] {
            let read = try StatusMessage.decode(Data((Self.good + member + Self.zeroMAC).utf8))
            #expect(read.status == known.status)
            #expect(read.signed == Data((Self.good + member).utf8), "it is under the MAC all the same")
        }
    }

    @Test(
        "values outside of what they may be are refused",
        arguments: [
            (#""v":2"#, #""v":1"#), (#""v":2"#, #""v":3"#), (#""v":2,"#, ""), (#""group":"g""#, #""group":"G""#),
            (#""machine":"m""#, #""machine":"a/b""#),
            (#""session":1"#, #""session":-1"#), (#""session":1"#, #""session":1e99"#), (#""seq":1"#, #""seq":"1""#),
            (#""state":"idle""#, #""state":"dancing""#), (#""order":[1,0,2]"#, #""order":[1,-2,2]"#),
            (#""order":[1,0,2]"#, #""order":0"#),
            (#""order":[1,0,2]"#, #""order":[1,0]"#), (#"23T05"#, #"23 05"#),
            (#""order":[1,0,2]"#, #""order":[1,0,2],"mac":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=""#),
            (#""order":[1,0,2]"#, #""order":[1,0,2],"metrics":{"a":1e999}"#),
            (#""order":[1,0,2]"#, #""order":[1,0,2],"metrics":{"":1}"#),
            (#""order":[1,0,2]"#, #""order":[1,0,2],"holder":"c0ffee""#),
            (#""order":[1,0,2]"#, #""order":[1,0,2],"holder":"00C0FFEE""#),
            (#""order":[1,0,2]"#, #""order":[1,0,2],"holder":"00c0ff\n ""#),
            (#""order":[1,0,2]"#, #""order":[1,0,2],"heartbeat":"0s""#),
            (#""order":[1,0,2]"#, #""order":[1,0,2],"heartbeat":"25h""#),
            (#""order":[1,0,2]"#, #""order":[1,0,2],"heartbeat":10"#),
            (#""order":[1,0,2]"#, #""order":[1,0,2],"receiving":{"digest":"00","have":"1"}"#),
            (#""order":[1,0,2]"#, #""order":[1,0,2],"software":{"name":"k"}"#), (#"{"v""#, #"[{"v""#),
            (#"AAAA="#, #"AAAB="#),
            (#"AAAA="#, #"AAA=="#),
        ])
    func ranges(change: (String, String)) {
        let text = (Self.good + Self.zeroMAC).replacing(change.0, with: change.1, maxReplacements: 1)
        #expect(text != Self.good + Self.zeroMAC)
        #expect(throws: WireError.self) { try StatusMessage.decode(Data(text.utf8)) }
    }

    @Test("sizes are bounded: bytes, metrics, reason, depth")
    func sizes() {
        let metrics = (0..<65).map { #""m\#($0)":1"# }.joined(separator: ",")
        for member in [
            #","metrics":{\#(metrics)}"#, #","reason":"\#(String(repeating: "x", count: 1025))""#,
            #","x":\#(String(repeating: "[", count: 30_000))\#(String(repeating: "]", count: 30_000))"#,
        ] {
            #expect(throws: WireError.self) { try StatusMessage.decode(Data((Self.good + member + Self.zeroMAC).utf8)) }
        }
        let large = Data((Self.good + #","x":"\#(String(repeating: "x", count: 64 << 10))""# + Self.zeroMAC).utf8)
        #expect { try StatusMessage.decode(large) } throws: { ($0 as? WireError)?.code == .tooLarge }
    }

    @Test("the largest status that can be made is one that can be read", arguments: [1, 5, 26])
    func largest(step: Int) throws {
        var status = Status(
            group: "g", machine: "m", session: 1, sequence: 1, at: Timestamp(milliseconds: 0), state: .receiving)
        var have = PartRanges()
        for index in 0..<20_000 { have.insert(index * 2 * step) }
        status.receiving = Receiving(digest: String(repeating: "a", count: 64), have: have)
        for index in 0..<64 {
            status.metrics[String(repeating: "\"", count: 120) + "\(index)"] = -1.2345678901234567e-300
        }
        status.reason = String(repeating: "\u{1}", count: 2000)
        let payload = StatusMessage.encode(status, code: Self.code)
        #expect(payload.count <= StatusMessage.largest)
        let read = try #require(try StatusMessage.decode(payload).status.receiving?.have)
        #expect(read.count > 2000)
        #expect(Array(read.ranges) == Array(have.ranges.prefix(read.ranges.count)))
    }

    @Test("what cannot be sent is left out, and the rest can be read")
    func bounded() throws {
        var status = Status(
            group: "g", machine: "m", session: 1, sequence: 1, at: Timestamp(milliseconds: 0), state: .failed)
        for index in 0..<100 { status.metrics["m\(index)"] = 1 }
        status.metrics["a"] = .nan
        status.metrics["b"] = .infinity
        status.reason = String(repeating: "é🦊", count: 1000)
        let read = try StatusMessage.decode(StatusMessage.encode(status, code: Self.code)).status
        #expect(read.metrics.count == 64)
        #expect(read.metrics["a"] == nil)
        #expect((1018...1024).contains(read.reason?.utf8.count ?? 0))
    }
}
