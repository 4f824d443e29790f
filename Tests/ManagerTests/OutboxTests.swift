import Fleet
import Foundation
import Logging
import Messaging
import Monitor
import Platforms
import Synchronization
import OperatingSystem
import TestSupport
import Testing

@testable import Manager

@Suite("Nobody waits for a neighbour: each kind of work leaves in a lane of its own")
struct OutboxTests {
    @Test("With a reload that hangs, a driver that hangs and 64 slow releases, another group's machine has its order")
    func neighbours() async throws {
        let world = World()
        world.hold("revocations", "launch other-1 on exec:hangs", "list exec:hangs")
        for number in 1...64 { world.hold("release slow-\(number) on exec:slow") }
        try await world.run {
            world.lanes.revocations.put(.list, for: "")
            world.lanes.revocations.put(.exclude(machine: "gone-1", group: "gone"), for: "gone-1")
            world.launch("other-1", on: .exec("hangs"))
            world.lanes.listings.put(.exec("hangs"), for: .exec("hangs"))
            for number in 1...64 { world.release("slow-\(number)", on: .exec("slow")) }
            world.lanes.deliveries.put(.absent(machine: "edge-1"), for: "edge-1")
            try await world.expect(begun: "revocations", "launch other-1 on exec:hangs", "list exec:hangs")
            // Everything that could be in the way is.
            try await world.expect { world.atWork("release slow-") == Outbox.ofEachPlatform }

            world.order("edge-1", 2)
            world.launch("edge-2", on: .local)
            world.lanes.listings.put(.local, for: .local)
            try await world.expect(
                done: "publish order edge-1 2", "launch edge-2 on local", "list local", "deliver edge-1")
            #expect(world.atWork("release slow-") == Outbox.ofEachPlatform, "and nothing of that has ended meanwhile")
            #expect(world.told.contains { if case .launched("edge-2") = $0 { true } else { false } })
            #expect(world.told.contains { if case .listed(.local, ["a"], ["b"], _) = $0 { true } else { false } })
        }
    }

    @Test("A platform's lane does not have more at work than one driver can be asked for, and gets through it")
    func width() async throws {
        let world = World()
        for number in 1...64 { world.hold("release slow-\(number) on exec:slow") }
        try await world.run {
            for number in 1...64 { world.release("slow-\(number)", on: .exec("slow")) }
            try await world.expect { world.atWork("release slow-") == Outbox.ofEachPlatform }
            world.letGo()
            try await world.expect { world.told.count == 64 }
            #expect(world.most <= Outbox.ofEachPlatform)
        }
    }

    @Test(
        "What waits of a machine is coalesced: the newest order, one clearing with what was to be said before it, answers first"
    )
    func publications() async throws {
        let world = World()
        world.hold("publish order edge-1 1")
        try await world.run {
            world.order("edge-1", 1)
            try await world.expect(begun: "publish order edge-1 1")
            for generation in 2...500 { world.order("edge-1", generation) }
            world.answer("edge-1", 1)
            world.answer("edge-1", 2)
            world.answer("boot-x", 3, of: "edge-1")
            #expect(world.lanes.publications.count == 3)
            world.letGo()
            try await world.expect(done: "publish order edge-1 500")
            #expect(
                world.done == [
                    "publish order edge-1 1", "publish answer edge-1 2", "publish answer boot-x 3",
                    "publish order edge-1 500",
                ])
        }
        let removal = World()
        removal.hold("publish order edge-1 1")
        try await removal.run {
            removal.order("edge-1", 1)
            try await removal.expect(begun: "publish order edge-1 1")
            removal.order("edge-1", 2)
            removal.clear("edge-1", after: "stop")
            removal.clear("edge-1")
            #expect(removal.lanes.publications.count == 1)
            removal.letGo()
            try await removal.expect { removal.done.count == 4 }
            #expect(
                removal.done == [
                    "publish order edge-1 1", "publish stop", "publish nothing on order", "publish nothing on status",
                ])
        }
    }

    @Test(
        "A release takes the place of a launch that has not begun, and is answered even if another wanted it unanswered"
    )
    func platformWork() async throws {
        let world = World()
        world.hold("launch edge-1 on local")
        try await world.run {
            world.launch("edge-1", on: .local)
            try await world.expect(begun: "launch edge-1 on local")
            world.launch("edge-1", on: .local)
            world.release("edge-1", on: .local)
            world.lanes.put(.release(machine: "edge-1", isKnown: false), of: "edge-1", on: .local)
            world.launch("edge-1", on: .local)
            world.launch("edge-1", on: .local)
            #expect(world.lanes.waiting["platforms"] == 2)
            world.letGo()
            try await world.expect { world.told.count == 3 }
            #expect(
                world.done == ["launch edge-1 on local", "release edge-1 on local", "launch edge-1 on local"])
            let released = world.told.filter { if case .released("edge-1") = $0 { true } else { false } }
            #expect(released.count == 1)
        }
    }

    @Test("A connection is ended before what its end leaves at the broker is cleared")
    func exclusion() async throws {
        let world = World()
        try await world.run {
            world.lanes.revocations.put(.exclude(machine: "edge-1", group: "edge"), for: "edge-1")
            try await world.expect(done: "publish nothing on status")
            #expect(world.done == ["exclude edge-1", "publish nothing on order", "publish nothing on status"])
        }
    }

    @Test("A launch of which nobody knows what came of it is told apart from one that was refused")
    func outcomes() async throws {
        let world = World()
        world.fail("launch edge-1 on local", PlatformError(.timedOut, "no answer"))
        world.fail("launch edge-2 on local", PlatformError(.failed, "no room"))
        world.fail("list local", PlatformError(.unknownOutcome, "it died"))
        try await world.run {
            world.launch("edge-1", on: .local)
            world.launch("edge-2", on: .local)
            world.lanes.listings.put(.local, for: .local)
            try await world.expect { world.told.count == 3 }
            #expect(
                world.told.contains {
                    if case .launchFailed("edge-1", "no answer", false) = $0 { true } else { false }
                })
            #expect(
                world.told.contains { if case .launchFailed("edge-2", "no room", true) = $0 { true } else { false } })
            #expect(world.told.contains { if case .listFailed(.local, "it died") = $0 { true } else { false } })
        }
    }
}

/// Doors behind which everything can be held up, and what went through them.
private final class World: Sendable {
    private struct State {
        var begun: [String] = []
        var done: [String] = []
        var told: [Monitor.Event] = []
        var held: Set<String> = []
        var failures: [String: PlatformError] = [:]
        var most = 0
    }

    let lanes = Lanes()
    private let topics = Topics(root: "t")
    private let state = Mutex(State())

    var done: [String] { state.withLock { $0.done } }
    var told: [Monitor.Event] { state.withLock { $0.told } }
    /// The most that a platform had at work at a time.
    var most: Int { state.withLock { $0.most } }

    func hold(_ names: String...) { state.withLock { $0.held.formUnion(names) } }
    func letGo() { state.withLock { $0.held = [] } }
    func fail(_ name: String, _ error: PlatformError) { state.withLock { $0.failures[name] = error } }

    /// So many that begin so have begun and not ended.
    func atWork(_ prefix: String) -> Int {
        state.withLock { state in
            state.begun.filter { $0.hasPrefix(prefix) }.count - state.done.filter { $0.hasPrefix(prefix) }.count
        }
    }

    func expect(at place: SourceLocation = #_sourceLocation, _ condition: () -> Bool) async throws {
        let holds = try await eventually { condition() }
        #expect(
            holds, "begun and not done: \(Set(state.withLock { $0.begun }).subtracting(done))", sourceLocation: place)
    }
    func expect(begun names: String..., at place: SourceLocation = #_sourceLocation) async throws {
        try await expect(at: place) { self.state.withLock { Set($0.begun).isSuperset(of: names) } }
    }
    func expect(done names: String..., at place: SourceLocation = #_sourceLocation) async throws {
        try await expect(at: place) { Set(self.done).isSuperset(of: names) }
    }

    private func pass(_ name: String) async {
        state.withLock { state in
            state.begun.append(name)
            let releases = state.begun.filter { $0.hasPrefix("release") }.count
            state.most = max(state.most, releases - state.done.filter { $0.hasPrefix("release") }.count)
        }
        while state.withLock({ $0.held.contains(name) }), !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(1))
        }
        state.withLock { $0.done.append(name) }
    }

    func run(_ body: () async throws -> Void) async throws {
        let outbox = Outbox(
            lanes: lanes, topics: topics, counters: Counters(),
            doors: Outbox.Doors(
                seal: {
                    Message(topic: "\($0.machine)", payload: Data("order \($0.machine) \($0.order.generation)".utf8))
                },
                publish: { message in
                    let name = String(decoding: message.payload, as: UTF8.self)
                    let last = message.topic.split(separator: "/").last ?? ""
                    await self.pass("publish " + (name.isEmpty ? "nothing on \(last)" : name))
                },
                platform: { platform in Provider(platform: platform, world: self) },
                exclude: { await self.pass("exclude \($0)") },
                publishRevocations: { await self.pass("revocations") },
                deliver: { work in
                    if case .absent(let machine) = work { await self.pass("deliver \(machine)") }
                },
                tell: { event in self.state.withLock { $0.told.append(event) } }),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let running = Task { await outbox.run() }
        do { try await body() } catch {
            running.cancel()
            throw error
        }
        running.cancel()
        await running.value
    }

    // MARK: What is put in

    func order(_ machine: String, _ generation: Int) {
        let order = Order(
            generation: generation, action: .run, software: SoftwareReference(name: "soft", version: "1"), digest: "d",
            environment: [:])
        let draft = OrderDraft(
            machine: machine, group: "edge", index: 0, order: order, delivery: .shared, heartbeat: .seconds(10),
            settle: .zero,
            issue: Issue(epoch: 1, number: generation))
        lanes.publications.put(.order(draft), for: machine)
    }

    func answer(_ client: String, _ number: Int, of machine: String? = nil) {
        let message = Message(topic: client, payload: Data("answer \(client) \(number)".utf8))
        lanes.publications.put(.answer(message), for: machine ?? client)
    }

    func clear(_ machine: String, after text: String? = nil) {
        let after = text.map { Message(topic: "x", payload: Data($0.utf8)) }
        lanes.publications.put(.clear(group: "edge", machine: machine, after: after), for: machine)
    }

    func launch(_ machine: String, on platform: Platform) {
        let ticket = BootTicket(
            group: "edge", machine: machine, broker: "mqtt://127.0.0.1:1", root: "t", groupKey: "a2V5", ticket: "t-1",
            secret: "c2VjcmV0", expires: Timestamp(milliseconds: 0))
        let request = LaunchRequest(machine: machine, group: "edge", index: 0, labels: [:], ticket: ticket)
        lanes.put(.launch(request), of: machine, on: platform)
    }

    func release(_ machine: String, on platform: Platform) {
        lanes.put(.release(machine: machine, isKnown: true), of: machine, on: platform)
    }

    private struct Provider: MachinePlatform {
        let platform: Platform
        let world: World
        let events = AsyncStream<PlatformEvent> { $0.finish() }

        private func pass(_ name: String) async throws(PlatformError) {
            await world.pass(name)
            if let error = world.state.withLock({ $0.failures[name] }) { throw error }
        }

        func launch(_ request: LaunchRequest) async throws(PlatformError) {
            try await pass("launch \(request.machine) on \(platform)")
        }
        func release(_ machine: String) async throws(PlatformError) {
            try await pass("release \(machine) on \(platform)")
        }
        func list() async throws(PlatformError) -> PlatformListing {
            try await pass("list \(platform)")
            return PlatformListing(running: ["a"], remains: ["b"])
        }
    }
}
