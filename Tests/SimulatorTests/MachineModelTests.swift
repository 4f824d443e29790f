import Fleet
import Foundation
import Messaging
import Sealing
import Testing

@testable import Simulator

@Suite("A simulated machine")
struct MachineModelTests {
    private let group = SecurityKey()

    private func machine(_ behaviour: Behaviour = .steady, seed: UInt64 = 1) -> MachineModel {
        let ticket = BootTicket(
            group: "edge", machine: nil, broker: "mqtt://127.0.0.1:1", root: "trunkline",
            groupKey: group.publicKey.rawRepresentation.base64EncodedString(), ticket: "t",
            secret: Data(repeating: 7, count: 32).base64EncodedString(), expires: Timestamp(milliseconds: 0))
        let common = MachineModel.Common(
            ticket: ticket, groupKey: group.publicKey, isSecure: false, epoch: Timestamp(milliseconds: 0))
        return MachineModel("edge-x1", common: common, behaviour: behaviour, seed: seed, starting: .zero)
    }

    private static let digest = String(repeating: "a", count: 64)
    private let key = ContentKey()

    private func order(
        _ generation: Int, digest: String = digest, parts: Int = 2, issue: Int = 0, action: Order.Action = .run,
        to machine: MachineModel
    ) throws -> Message {
        let manifest = SoftwareManifest(name: "soft", version: "1", service: "voice", run: ["./run"])
        let size = parts * OrderContent.standardPartSize
        let content = OrderContent(
            action: action, generation: generation, issue: Issue(epoch: 1, number: issue), digest: digest, size: size,
            parts: parts, contentKey: key.rawRepresentation, delivery: .shared, manifest: manifest, environment: [:],
            heartbeat: .seconds(5))
        let payload = try OrderMessage.encode(
            group: "edge", machine: "edge-x1", generation: generation, issue: content.issue, action: action.rawValue,
            software: manifest.reference, digest: digest
        ) { header in
            let sealed = try AuthenticSeal.order.seal(
                content.encoded(), to: machine.paper.key.publicKey, from: group, authenticating: header)
            return (sealed.encapsulated, sealed.ciphertext)
        }
        return Message(topic: machine.paper.orderTopic, payload: payload)
    }

    private func part(_ index: Int, of digest: String = digest, parts: Int = 2) throws -> Message {
        let sealed = try PartSeal(key: key, digest: digest, count: parts).seal(Data([1]), index: index)
        return Message(topic: "trunkline/edge/software/\(digest)/\(index)", payload: sealed)
    }

    private func statuses(_ actions: [MachineModel.Action]) throws -> [Status] {
        try actions.compactMap { action in
            guard case .publish(let message, true) = action else { return nil }
            return try StatusMessage.decode(message.payload).status
        }
    }

    /// Connected and subscribed, with its registration said.
    private func registered(_ machine: inout MachineModel) throws {
        let connecting = machine.handle(.due, now: .zero)
        guard case .connect(.plain, "edge-x1", _?)? = connecting.first else {
            throw PaperError(description: "\(connecting)")
        }
        _ = machine.handle(.connected, now: .zero)
        _ = machine.handle(.subscribed(well: true), now: .zero)
        let said = machine.handle(.due, now: .zero)
        guard case .publish(let message, false)? = said.first, message.topic == machine.paper.registerTopic else {
            throw PaperError(description: "\(said)")
        }
    }

    private func running(_ machine: inout MachineModel) throws {
        try registered(&machine)
        _ = machine.handle(.message(try order(1, to: machine)), now: .seconds(1))
        for index in 0..<2 { _ = machine.handle(.message(try part(index)), now: .seconds(1)) }
        _ = machine.handle(.acknowledged, now: .seconds(1))
        let deadline = try #require(machine.deadline)
        _ = machine.handle(.due, now: deadline)
        // What it says of its start, and that it runs.
        for _ in 0..<2 { _ = machine.handle(.acknowledged, now: deadline) }
        #expect(machine.isSettled && machine.stage == .running && !machine.inFlight)
    }

    @Test("It says its registration, the same bytes, again until an order comes")
    func registers() throws {
        var machine = machine()
        try registered(&machine)
        let first = machine.registration
        let again = try #require(machine.deadline)
        #expect(again >= .milliseconds(750) && again <= .milliseconds(1250))
        guard case .publish(let message, false)? = machine.handle(.due, now: again).first else {
            Issue.record("nothing was said")
            return
        }
        #expect(message.payload == first)
        #expect(try statuses(machine.handle(.message(order(1, to: machine)), now: .seconds(2))).count == 1)
        #expect(machine.registersAt == nil)
    }

    @Test("An order is answered, parts are read and told of, and it runs: one status in flight at a time")
    func receives() throws {
        var machine = machine()
        try registered(&machine)
        let answer = machine.handle(.message(try order(1, to: machine)), now: .seconds(1))
        let said = try #require(try statuses(answer).first)
        #expect(said.state == .receiving && said.order == 1 && said.receiving?.have.isEmpty == true)
        let parts = "trunkline/edge/software/\(Self.digest)/+"
        #expect(answer.contains { if case .subscribe([parts]) = $0 { true } else { false } })
        #expect(try statuses(machine.handle(.message(part(1)), now: .seconds(1))).isEmpty)
        #expect(machine.have.description == "1")
        // Not what was sealed for another place.
        let wrong = Message(topic: "trunkline/edge/software/\(Self.digest)/0", payload: try part(1).payload)
        let found = machine.handle(.message(wrong), now: .seconds(1))
        #expect(found.contains { if case .found(.notUnderstood) = $0 { true } else { false } })
        #expect(try statuses(machine.handle(.message(part(0)), now: .seconds(1))).isEmpty, "one is in flight")
        #expect(try statuses(machine.handle(.acknowledged, now: .seconds(1))).map(\.state) == [.starting])
        let due = try #require(machine.deadline)
        #expect(try statuses(machine.handle(.due, now: due)).isEmpty)
        #expect(try statuses(machine.handle(.acknowledged, now: due)).map(\.state) == [.running])
        let heard = machine.handle(.acknowledged, now: due)
        #expect(heard.contains { if case .found(.running(Self.digest)) = $0 { true } else { false } })
        #expect(machine.deadline == machine.saidAt + .seconds(5), "the order's heartbeat")
    }

    @Test("A drift is said and stays until the order that mends it; the time between is measured")
    func drifts() throws {
        var machine = machine()
        try running(&machine)
        let (may, actions) = machine.drift(now: .seconds(10))
        #expect(may && !machine.isSettled)
        #expect(try statuses(actions).map { $0.software?.digest } == [String(repeating: "0", count: 64)])
        #expect(!machine.drift(now: .seconds(11)).0, "once at a time")
        let mended = machine.handle(.message(try order(2, to: machine)), now: .milliseconds(10_003))
        let times = mended.compactMap { action -> Duration? in
            if case .found(.mended(let took)) = action { took } else { nil }
        }
        #expect(times == [.milliseconds(3)] && machine.driftedAt == nil)
        // What it has it does not fetch.
        if case .starting = machine.stage {} else { Issue.record("it is \(machine.stage)") }
    }

    @Test("An older word changes nothing, and the same order again is answered and restarts nothing")
    func olderWords() throws {
        var machine = machine()
        try running(&machine)
        _ = machine.handle(.message(try order(2, issue: 3, action: .stop, to: machine)), now: .seconds(10))
        #expect(machine.stage == .stopped)
        _ = machine.handle(.message(try order(3, issue: 2, to: machine)), now: .seconds(10))
        #expect(machine.stage == .stopped && machine.order?.generation == 2)
        _ = machine.handle(.acknowledged, now: .seconds(10))
        _ = machine.handle(.acknowledged, now: .seconds(10))
        let again = machine.handle(.message(try order(2, issue: 3, action: .stop, to: machine)), now: .seconds(11))
        #expect(try statuses(again).map(\.state) == [.stopped])
    }

    @Test("One that can't run new software goes back to what ran, and says why")
    func fails() throws {
        var machine = machine(.failing)
        try running(&machine)
        let other = String(repeating: "b", count: 64)
        _ = machine.handle(.message(try order(2, digest: other, parts: 1, to: machine)), now: .seconds(10))
        _ = machine.handle(.message(try part(0, of: other, parts: 1)), now: .seconds(10))
        _ = machine.handle(.acknowledged, now: .seconds(10))
        _ = machine.handle(.acknowledged, now: .seconds(10))
        let said = try statuses(machine.handle(.due, now: .seconds(11)))
        let status = try #require(said.first)
        #expect(status.state == .running && status.software?.digest == Self.digest && status.order == 2)
        #expect(status.reason?.contains("soft@1 runs again") == true)
    }

    @Test("After a cut it comes back in a new session and says what it is; after the end it does nothing any more")
    func comesBack() throws {
        var machine = machine()
        try running(&machine)
        let lost = machine.handle(.disconnected, now: .seconds(20))
        #expect(lost.contains { if case .found(.lostConnection) = $0 { true } else { false } })
        let due = try #require(machine.deadline)
        #expect(due > .seconds(20) && due <= .milliseconds(20_200))
        guard case .connect(_, _, let will)? = machine.handle(.due, now: due).first else {
            Issue.record("it does not connect")
            return
        }
        let last = try StatusMessage.decode(try #require(will).payload).status
        #expect(last.state == .away && last.session == 2 && last.sequence == 0)
        _ = machine.handle(.connected, now: due)
        let said = try statuses(machine.handle(.subscribed(well: true), now: due))
        #expect(said.map(\.session) == [2] && said.map(\.sequence) == [1] && said.map(\.state) == [.running])
        let end = machine.end(now: .seconds(30))
        guard case .publish(let word, false)? = end.first, case .leave? = end.last else {
            Issue.record("\(end)")
            return
        }
        #expect(try StatusMessage.decode(word.payload).status.state == .away)
        #expect(machine.deadline == nil && machine.handle(.disconnected, now: .seconds(31)).isEmpty)
    }

    @Test("Where nobody answers it tries less and less often, however long that has been so")
    func patience() throws {
        var machine = machine()
        var (attempts, now) = (0, Duration.zero)
        while now < .seconds(300) {
            now = try #require(machine.deadline)
            _ = machine.handle(.due, now: now)
            attempts += 1
            let found = machine.handle(.disconnected, now: now)
            #expect(found.contains { if case .found(.refusedConnection) = $0 { true } else { false } })
        }
        // From one to ten seconds each, in the end.
        #expect((30...300).contains(attempts), "\(attempts)")
    }

    @Test("Its behaviour shows: a check that flaps, nonsense that is never retained, a network that breaks")
    func behaves() throws {
        var flapping = machine(.flapping)
        try running(&flapping)
        let healths = try (0..<3).map { _ in
            let at = try #require(flapping.actsAt)
            let said = try statuses(flapping.handle(.due, now: at))
            _ = flapping.handle(.acknowledged, now: at)
            return try #require(said.last?.software?.health)
        }
        #expect(healths == [.failing, .passing, .failing])
        var garbage = machine(.garbage)
        try running(&garbage)
        for _ in 0..<8 {
            let at = try #require(garbage.actsAt)
            let said = garbage.handle(.due, now: at).compactMap { action -> Message? in
                if case .publish(let message, false) = action { message } else { nil }
            }
            let message = try #require(said.first)
            #expect(!message.retained && message.topic == garbage.paper.statusTopic)
            let status = try? StatusMessage.decode(message.payload)
            #expect(status.map { garbage.paper.statusKey?.isValid($0.mac, for: $0.signed) } != true)
            _ = garbage.handle(.acknowledged, now: at)
        }
        var losing = machine(.losing)
        try running(&losing)
        let at = try #require(losing.actsAt)
        #expect(losing.handle(.due, now: at).contains { if case .cut = $0 { true } else { false } })
        #expect(try #require(losing.deadline) >= at + .seconds(1))
    }
}
