import Fleet
import Messaging
import Testing

@Suite("Topics")
struct TopicsTests {
    let digest = String(repeating: "0af9", count: 16)

    @Test("every topic that is built is read as what it was built from", arguments: ["trunkline", "test-7", "site/a"])
    func roundTrip(root: String) {
        let topics = Topics(root: root)
        #expect(Topics.isValidRoot(root))
        #expect(
            topics.parse(topics.register(group: "edge", machine: "m-1")) == .registration(group: "edge", machine: "m-1")
        )
        #expect(topics.parse(topics.order(group: "edge", machine: "m-1")) == .order(group: "edge", machine: "m-1"))
        #expect(topics.parse(topics.status(group: "edge", machine: "m-1")) == .status(group: "edge", machine: "m-1"))
        #expect(topics.parse(topics.log(group: "edge", machine: "m-1")) == .log(group: "edge", machine: "m-1"))
        #expect(topics.parse(topics.manager) == .manager)
        for index in [0, 7, 1_048_575] {
            #expect(
                topics.parse(topics.part(group: "edge", digest: digest, index: index))
                    == .part(group: "edge", digest: digest, index: index))
            #expect(
                topics.parse(topics.machinePart(group: "edge", machine: "m-1", digest: digest, index: index))
                    == .machinePart(group: "edge", machine: "m-1", digest: digest, index: index))
        }
    }

    @Test("the answer to who has no certificate goes to the boot broker, and nothing else does")
    func booting() {
        let topics = Topics()
        #expect(topics.isForBooting(topics.answer(to: "boot-1a2b")))
        for topic in [
            topics.answer(to: "edge-1"), topics.order(group: "edge", machine: "boot-1"), topics.manager,
            topics.register(group: "boot-x", machine: "boot-1"),
        ] { #expect(!topics.isForBooting(topic)) }
    }

    @Test("the names are those of the design")
    func names() {
        let topics = Topics()
        #expect(topics.register(group: "edge", machine: "m") == "trunkline/edge/register/m")
        #expect(topics.renewal(group: "edge", machine: "m") == "trunkline/edge/machines/m/register")
        #expect(topics.answer(group: "edge", machine: "m") == "trunkline/edge/machines/m/answer")
        for topic in [
            topics.order(group: "edge", machine: "m"), topics.status(group: "edge", machine: "m"),
            topics.log(group: "edge", machine: "m"), topics.renewal(group: "edge", machine: "m"),
            topics.answer(group: "edge", machine: "m"),
            topics.machinePart(group: "edge", machine: "m", digest: digest, index: 0),
        ] { #expect(topic.hasPrefix("trunkline/\(Topics.name(group: "edge", machine: "m"))/")) }
        #expect(topics.status(group: "edge", machine: "m") == "trunkline/edge/machines/m/status")
        #expect(topics.part(group: "edge", digest: digest, index: 3) == "trunkline/edge/software/\(digest)/3")
        #expect(topics.allRegistrations == "trunkline/+/register/+")
        #expect(topics.allStatuses == "trunkline/+/machines/+/status")
        #expect(
            topics.machineParts(group: "g", machine: "m", digest: digest)
                == "trunkline/g/machines/m/software/\(digest)/+")
    }

    @Test(
        "wildcards, odd names and other shapes are refused",
        arguments: [
            "", "trunkline", "trunkline/", "trunkline/+/register/m", "trunkline/edge/register/#",
            "other/edge/register/m",
            "trunkline/edge/register/", "trunkline/Edge/register/m", "trunkline/edge/register/m/more",
            "trunkline//register/m",
            "trunkline/edge/machines/m/unknown", "trunkline/edge/machines/-m/status",
            "trunkline/edge/machines/m/status/",
            "trunkline/edge/register/m\u{0}", "trunkline/edge/machines/é/status", "trunklineX/manager",
            "/trunkline/manager",
            "trunkline/edge/software/abc/1", "trunkline/manager/", "$SYS/broker/uptime",
            "boot/trunkline/answers/boot-1a2b", "boot/trunkline/edge/register/m",
        ])
    func refused(topic: String) { #expect(Topics().parse(topic) == nil) }

    @Test(
        "a part has one topic only",
        arguments: ["", "-1", "+1", "01", "00", "1048576", "99999999999999999999", "1 ", "0x1", "١"])
    func parts(index: String) {
        #expect(Topics().parse("trunkline/edge/software/\(digest)/\(index)") == nil)
        #expect(Topics().parse("trunkline/edge/software/\(digest.uppercased())/1") == nil)
    }

    @Test("a root has no wildcards and no empty levels", arguments: ["", "/", "a/", "a//b", "+", "a/#", "A", "a b"])
    func roots(root: String) { #expect(!Topics.isValidRoot(root)) }

    @Test("a broker's address is read and written alike")
    func addresses() {
        #expect(BrokerAddress("mqtt://127.0.0.1:1884") == BrokerAddress(host: "127.0.0.1", port: 1884))
        #expect(BrokerAddress("mqtt://broker.example.net")?.port == 1883)
        #expect(BrokerAddress("mqtt://[::1]:1883/") == BrokerAddress(host: "::1"))
        #expect(BrokerAddress(host: "::1").description == "mqtt://[::1]:1883")
        for wrong in [
            "", "mqtt://", "mqtt://:1883", "http://a", "mqtt://a:0", "mqtt://a:65536", "mqtt://a:", "mqtt://a:+1",
            "mqtt://a b",
            "mqtt://a/b", "mqtt://u@a", "mqtt://[::1", "mqtt://[]:1", "mqtt://::1:1",
        ] { #expect(BrokerAddress(wrong) == nil, "\(wrong)") }
    }
}
