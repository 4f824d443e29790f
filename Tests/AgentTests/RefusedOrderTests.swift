import Fleet
import Foundation
import Glibc
import Messaging
import Sealing
import Testing
import TestSupport

@Suite("An order that cannot be followed is answered with its reason")
struct RefusedOrderTests {
    enum Fault: CaseIterable {
        case otherKey, cut, tooLarge, otherAction, unknownAction, unknownDelivery, otherWire, hugeVariable,
            impossibleVariable, otherHeader

        /// What the status says.
        var words: String {
            switch self {
            case .otherKey: "order 2 cannot be opened"
            case .cut: "an order cannot be read"
            case .tooLarge: "bytes are more than the 262144 allowed"
            case .otherAction: "order 2 cannot be opened"
            case .unknownAction: "order 2 cannot be followed: this agent, 0.1.0, does not know the action dance"
            case .unknownDelivery:
                "order 2 cannot be followed: this agent, 0.1.0, does not understand it: not the JSON that is expected: delivery: "
            case .otherWire: "an order cannot be read: it speaks version 3 of the wire, and here 2 is spoken"
            case .hugeVariable: "the variable GREETING has 150000 bytes, and Linux passes at most 131062"
            case .impossibleVariable: "order 2 cannot be followed: the environment has a name or value"
            case .otherHeader: "order 2 cannot be followed: its header says other"
            }
        }

        /// Whether the group's key sealed it, so that it counts as heard.
        var isAuthentic: Bool {
            switch self {
            case .hugeVariable, .impossibleVariable, .otherHeader, .unknownAction, .unknownDelivery: true
            case .otherKey, .cut, .tooLarge, .otherAction, .otherWire: false
            }
        }

        func send(_ manager: ManagerStandIn, _ bundle: SampleBundle) async throws {
            switch self {
            case .otherKey: try await manager.order(bundle, bundle.order(2), from: SecurityKey())
            case .cut: try await manager.publishOrder(Data("{\"v\":1,\"group\":".utf8))
            case .tooLarge: try await manager.publishOrder(Data(repeating: UInt8(ascii: "{"), count: 268_560))
            case .unknownAction:
                try await manager.publishOrder(try await manager.sealed(bundle.order(2), action: "dance"))
            case .unknownDelivery:
                let content = String(decoding: try bundle.order(2).encoded(), as: UTF8.self)
                let later = content.replacing(#""delivery":"shared""#, with: #""delivery":"pigeons""#)
                try await manager.publishOrder(
                    try await manager.sealed(bundle.order(2), plaintext: Data(later.utf8)))
            case .otherWire:
                let text = String(decoding: try await manager.sealed(bundle.order(2)), as: UTF8.self)
                try await manager.publishOrder(Data(text.replacing(#"{"v":2"#, with: #"{"v":3"#).utf8))
            case .otherAction:
                let text = String(decoding: try await manager.sealed(bundle.order(2)), as: UTF8.self)
                try await manager.publishOrder(
                    Data(text.replacing("\"action\":\"run\"", with: "\"action\":\"dance\"").utf8))
            case .hugeVariable:
                let greeting = String(repeating: "x", count: 150_000)
                try await manager.order(bundle, bundle.order(2, environment: ["GREETING": greeting]))
            case .impossibleVariable:
                try await manager.order(bundle, bundle.order(2, environment: ["A=B": "c"]))
            case .otherHeader:
                var header = bundle.order(2)
                header.digest = String(repeating: "0", count: 64)
                try await manager.publishOrder(try await manager.sealed(bundle.order(2), under: header))
            }
        }
    }

    @Test("what runs runs on, and the next good order takes the reason away", arguments: Fault.allCases)
    func whileRunning(fault: Fault) async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            let pid = try await agent.softwarePID()
            try await fault.send(manager, bundle)
            let refused = try await manager.status("refused") { $0.reason?.contains(fault.words) == true }
            #expect(refused.order == (fault.isAuthentic ? 2 : 1))
            #expect(refused.state == .running && refused.software?.generation == 1)
            // Said again it is answered again, and nothing else comes of it.
            let before = manager.statuses.count
            try await Task.sleep(for: .milliseconds(1100))
            try await fault.send(manager, bundle)
            let again = try await manager.status("answered again") { _ in manager.statuses.count > before }
            #expect(again.reason == refused.reason && again.order == refused.order)
            #expect(try await agent.softwarePID() == pid)
            try await manager.order(bundle, generation: 3)
            let good = try await manager.running(bundle, generation: 3)
            #expect(good.reason == nil)
        }
    }

    @Test("where nothing runs the machine is failed, also when it was the first order", arguments: Fault.allCases)
    func first(fault: Fault) async throws {
        try await withMachine { manager, agent in
            try agent.start()
            #expect(try await eventually(within: .seconds(40)) { manager.read { $0.machineKey != nil } })
            let bundle = try SampleBundle()
            try await fault.send(manager, bundle)
            let refused = try await manager.status("failed") {
                $0.state == .failed && $0.reason?.contains(fault.words) == true
            }
            #expect(refused.order == (fault.isAuthentic ? 2 : 0) && refused.software == nil)
            // The next agent hears the same retained order.
            try await agent.end(SIGKILL)
            try agent.start()
            let again = try await manager.status("failed again") {
                $0.session > refused.session && $0.state == .failed && $0.reason == refused.reason
            }
            #expect(again.order == refused.order)
            try await manager.order(bundle, generation: 3)
            try await manager.running(bundle, generation: 3)
        }
    }

    @Test("an older one is answered with what was accepted, until the manager has caught up")
    func older() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle()
            try await manager.order(bundle, generation: 7)
            try await manager.running(bundle, generation: 7)
            try await manager.order(bundle, bundle.order(3, issue: 8))
            let status = try await manager.status("says so") {
                $0.reason?.contains("order 3 is older than 7, which was accepted") == true
            }
            #expect(status.order == 7 && status.state == .running && status.software?.restarts == 0)
            try await manager.order(bundle, bundle.order(7, issue: 9))
            try await manager.status("nothing is wrong") { $0.reason == nil && $0.order == 7 }
            #expect(agent.lines("data/sample/starts").count == 1)
        }
    }

    @Test("one that cannot be kept on the disk is not accepted, said, and accepted as soon as there is room")
    func unkept() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let (old, new) = (try SampleBundle(version: "1"), try SampleBundle(version: "2"))
            try await manager.order(old)
            try await manager.running(old, generation: 1)
            try FileManager.default.createDirectory(
                atPath: agent.path("order.json.new"), withIntermediateDirectories: false)
            try await manager.order(new, generation: 2)
            let refused = try await manager.status("not kept") {
                $0.reason?.contains("order 2 cannot be kept") == true
            }
            #expect(refused.order == 1 && refused.state == .running && refused.software?.version == "1")
            try FileManager.default.removeItem(atPath: agent.path("order.json.new"))
            // Nobody says the order again.
            let status = try await manager.running(new, generation: 2)
            #expect(status.reason == nil)
        }
    }

    @Test("a release that cannot be kept is said as the reason, while the old one runs on")
    func unkeptRelease() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let (old, new) = (try SampleBundle(version: "1"), try SampleBundle(version: "2"))
            try await manager.order(old)
            try await manager.running(old, generation: 1)
            let pid = try await agent.softwarePID()
            let parts = agent.path("bundles/\(new.digest).parts")
            try FileManager.default.createDirectory(atPath: parts, withIntermediateDirectories: false)
            try await manager.order(new, generation: 2)
            let status = try await manager.status("says so") {
                $0.order == 2 && $0.reason?.contains("sample@2 cannot be installed") == true
            }
            #expect(status.software?.version == "1" && status.software?.health == .passing)
            #expect(try await agent.softwarePID() == pid)
            try FileManager.default.removeItem(atPath: parts)
            #expect(try await manager.running(new, generation: 2).reason == nil)
        }
    }
}
