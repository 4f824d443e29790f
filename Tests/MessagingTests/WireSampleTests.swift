import Fleet
import FoundationEssentials
import Messaging
import Testing

/// What each release said, byte for byte: whoever reads the wire today reads them. Lines are only ever added.
@Suite("Samples of every version of the wire")
struct WireSampleTests {
    private static let digest = String(repeating: "0a", count: 32)
    private static let code = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="

    /// Wire 2 as the first agents spoke it: without their version, and without which wires they speak.
    private static let firstStatus =
        #"{"v":2,"group":"edge","machine":"edge-1","session":3,"seq":12,"holder":"00c0ffee","at":"2026-11-23T05:41:00.123Z","state":"running","order":[1,4,9],"heartbeat":"10s","software":{"name":"kamailio","version":"5.6.3","digest":"\#(digest)","generation":4,"health":"passing","since":"2026-11-23T05:40:00.000Z","restarts":1},"metrics":{"calls":3},"reason":"back","mac":"\#(code)"}"#
    private static let status =
        #"{"v":2,"group":"edge","machine":"edge-1","session":3,"seq":12,"holder":"00c0ffee","at":"2026-11-23T05:41:00.123Z","agent":"0.1.0","wire":[2],"state":"receiving","order":[1,4,9],"heartbeat":"10s","receiving":{"digest":"\#(digest)","have":"0-57,60"},"mac":"\#(code)"}"#
    private static let order =
        #"{"v":2,"group":"edge","machine":"edge-1","epoch":2,"generation":4,"issue":9,"action":"run","software":{"name":"janus","version":"1.1.2","digest":"\#(digest)"},"enc":"AQI=","sealed":"Aw=="}"#
    private static let orderContent =
        #"{"action":"run","contentKey":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","delivery":"shared","digest":"\#(digest)","environment":{"SIP_PORT":"5060"},"generation":4,"heartbeat":"10s","issue":[2,9],"manifest":{"environment":{},"name":"janus","run":["./start.sh"],"service":"video","stop":{"signal":"TERM","timeout":"10s"},"version":"1.1.2"},"partSize":262144,"parts":1,"size":1000}"#
    private static let first =
        #"{"v":2,"group":"edge","machine":"edge-1","ticket":"t-1","key":"\#(code)","enc":"AQI=","sealed":"Aw==","mac":"\#(code)"}"#
    private static let back =
        #"{"v":2,"group":"edge","machine":"edge-1","fingerprint":"00112233445566aa","enc":"AQI=","sealed":"Aw==","mac":"\#(code)"}"#
    private static let registration =
        #"{"certificate":{"reply":"boot-1","request":"AQI="},"facts":{"arch":"x86_64","cores":2,"host":"den1","memory":1024,"os":"Debian"},"key":"\#(code)","machine":"edge-1","nonce":"AAAAAAAAAAAAAAAAAAAAAA=="}"#
    private static let answer = #"{"v":2,"group":"edge","machine":"edge-1","enc":"AQI=","sealed":"Aw=="}"#
    private static let answerContent = #"{"certificate":"PEM","nonce":"AAAAAAAAAAAAAAAAAAAAAA==","trust":"PEM"}"#

    @Test("wire 2: statuses, of the first agents and of today's")
    func statuses() throws {
        let first = try StatusMessage.decode(Data(Self.firstStatus.utf8)).status
        #expect(first.state == .running && first.software?.version == "5.6.3" && first.metrics == ["calls": 3])
        #expect(first.order == 4 && first.issue == Issue(epoch: 1, number: 9) && first.heartbeat == .seconds(10))
        #expect(first.agent == nil && first.wires == nil && WireVersion.common(with: first.wires) == 2)
        let today = try StatusMessage.decode(Data(Self.status.utf8)).status
        #expect(today.agent == "0.1.0" && today.wires == [2] && today.receiving?.have.description == "0-57,60")
        // What is written today is what stands here: a change of the wire is a new version, or a member that others pass over.
        #expect(StatusMessage.encode(today) { _ in Data(repeating: 7, count: 32) } == Data(Self.status.utf8))
        #expect(StatusMessage.encode(first) { _ in Data(repeating: 7, count: 32) } == Data(Self.firstStatus.utf8))
    }

    @Test("wire 2: what stands between software and agent; a word that is not known promises nothing")
    func isolation() throws {
        func read(_ word: String) throws -> Isolation? {
            let text = Self.status.replacing(#""wire":[2],"#, with: "\"wire\":[2],\"isolation\":\"\(word)\",")
            return try StatusMessage.decode(Data(text.utf8)).status.isolation
        }
        #expect(try read("user") == .user)
        #expect(try read("none") == .absent)
        #expect(try read("walls") == .absent)
        var status = try StatusMessage.decode(Data(Self.status.utf8)).status
        #expect(status.isolation == nil)
        status.isolation = .user
        let encoded = StatusMessage.encode(status) { _ in Data(repeating: 7, count: 32) }
        #expect(try StatusMessage.decode(encoded).status == status)
    }

    @Test("wire 2: orders")
    func orders() throws {
        let order = try OrderMessage.decode(Data(Self.order.utf8))
        #expect(order.action == "run" && order.generation == 4 && order.issue == Issue(epoch: 2, number: 9))
        #expect(order.software.description == "janus@1.1.2" && order.encapsulated == Data([1, 2]))
        let content = try OrderContent.decode(Data(Self.orderContent.utf8))
        #expect(content.action == .run && content.environment == ["SIP_PORT": "5060"] && content.parts == 1)
        #expect(content.manifest.stop.timeout == .seconds(10) && content.trust == nil && content.session == nil)
    }

    private static let draining =
        #"{"v":2,"group":"edge","machine":"edge-1","session":3,"seq":13,"holder":"00c0ffee","at":"2026-11-29T21:50:00.000Z","agent":"0.1.0","wire":[2],"state":"draining","order":[1,4,10],"heartbeat":"10s","software":{"name":"kamailio","version":"5.6.3","digest":"\#(digest)","generation":4,"health":"passing","since":"2026-11-23T05:40:00.000Z","restarts":0},"metrics":{"calls":0},"mac":"\#(code)"}"#
    private static let drainContent =
        #"{"action":"drain","contentKey":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","delivery":"shared","digest":"\#(digest)","environment":{},"generation":4,"heartbeat":"10s","issue":[2,10],"manifest":{"drain":{"exec":["./drain.sh"],"timeout":"20s"},"environment":{},"name":"janus","run":["./start.sh"],"service":"video","stop":{"signal":"TERM","timeout":"10s"},"undrain":{"exec":["./undrain.sh"],"secrets":["KEY"],"timeout":"10s"},"version":"1.1.2"},"partSize":262144,"parts":1,"settle":"5s","size":1000}"#

    @Test(
        "wire 2: an order to drain has the generation of what it drains; its status says so, with what is still there")
    func drains() throws {
        let order = try OrderMessage.decode(Data(Self.order.replacing(#""run""#, with: #""drain""#).utf8))
        #expect(Order.Action(rawValue: order.action) == .drain && order.generation == 4)
        let content = try OrderContent.decode(Data(Self.drainContent.utf8))
        #expect(content.action == .drain && content.generation == 4 && content.settle == .seconds(5))
        #expect(content.manifest.drain == .init(exec: ["./drain.sh"], timeout: .seconds(20)))
        #expect(content.manifest.undrain == .init(exec: ["./undrain.sh"], secrets: ["KEY"]))
        #expect(try content.encoded() == Data(Self.drainContent.utf8))
        let status = try StatusMessage.decode(Data(Self.draining.utf8)).status
        #expect(status.state == .draining && status.metrics == ["calls": 0] && status.order == 4)
        #expect(StatusMessage.encode(status) { _ in Data(repeating: 7, count: 32) } == Data(Self.draining.utf8))
    }

    @Test("wire 2: what earlier managers do not say: no settle time, and hooks have ten seconds")
    func beforeDraining() throws {
        #expect(try OrderContent.decode(Data(Self.orderContent.utf8)).settle == nil)
        let early = Self.drainContent.replacing(#","timeout":"20s""#, with: "").replacing(#""settle":"5s","#, with: "")
        let content = try OrderContent.decode(Data(early.utf8))
        #expect(content.manifest.drain?.timeout == .seconds(10) && content.settle == nil)
        for (was, impossible) in [(#""timeout":"20s""#, #""timeout":"2h""#), (#""settle":"5s""#, #""settle":"2h""#)] {
            #expect(throws: WireError.self) {
                try OrderContent.decode(Data(Self.drainContent.replacing(was, with: impossible).utf8))
            }
        }
    }

    @Test("wire 2: registrations and their answers")
    func registrations() throws {
        let key = Data(repeating: 7, count: 32)
        let first = try RegistrationMessage.decode(Data(Self.first.utf8))
        #expect(first.credential == .ticket("t-1", key: key) && first.mac == key)
        let back = try RegistrationMessage.decode(Data(Self.back.utf8))
        #expect(back.credential == .key("00112233445566aa"))
        let content = try RegistrationContent.decode(Data(Self.registration.utf8))
        #expect(content.facts.host == "den1" && content.facts.agent == nil && content.certificate?.reply == "boot-1")
        #expect(try CertificateMessage.decode(Data(Self.answer.utf8)).machine == "edge-1")
        #expect(try CertificateContent.decode(Data(Self.answerContent.utf8)).certificate == "PEM")
    }

    /// Outside seals, and inside: members are added without a new version.
    @Test("what a newer peer adds is passed over, in every message")
    func additions() throws {
        func added(_ text: String) -> Data {
            Data((#"{"later":{"than":[1,{"enc":"x"}]},"# + text.dropFirst()).utf8)
        }
        let status = try StatusMessage.decode(added(Self.status)).status
        #expect(status == (try StatusMessage.decode(Data(Self.status.utf8)).status))
        let order = try OrderMessage.decode(added(Self.order))
        #expect(order.software.description == "janus@1.1.2")
        #expect(try OrderContent.decode(added(Self.orderContent)).generation == 4)
        #expect(
            try RegistrationMessage.decode(added(Self.first)).credential
                == .ticket("t-1", key: Data(repeating: 7, count: 32)))
        #expect(try RegistrationContent.decode(added(Self.registration)).machine == "edge-1")
        #expect(try CertificateMessage.decode(added(Self.answer)).group == "edge")
        #expect(try CertificateContent.decode(added(Self.answerContent)).trust == "PEM")
    }

    @Test("what is not understood is named: where it stands, and what stands there")
    func words() {
        func refusal(_ text: String) -> String {
            do {
                _ = try OrderContent.decode(Data(text.utf8))
                return "taken"
            } catch { return "\(error)" }
        }
        #expect(refusal(Self.orderContent.replacing(#""shared""#, with: #""pigeons""#)).contains("delivery: "))
        #expect(refusal(Self.orderContent.replacing(#""shared""#, with: #""pigeons""#)).contains("pigeons"))
        #expect(refusal(Self.orderContent.replacing(#""parts":1,"#, with: "")).hasSuffix("there is no parts"))
        #expect(refusal(Self.orderContent.replacing(#""10s"},"v"#, with: #"4},"v"#)).contains("manifest.stop.timeout"))
    }
}
