import Fleet
import Foundation
import HummingbirdTesting
import HTTPTypes
import Simulator
import Records
import Synchronization
import Testing

@testable import Client
@testable import Manager
import TestSupport

// Where something does not come, they wait for it.
@Suite("The live view", .timeLimit(.minutes(2)))
struct WatchTests {
    /// Groups `a` and `b` of two machines each.
    private func site(_ body: @escaping @Sendable (Site, Asker) async throws -> Void) async throws {
        try await Site.with(streamBeat: .milliseconds(200)) { site in
            try await site.rest(.live) { ask in
                _ = try await ask.push(try site.bundle())
                for group in ["a", "b"] {
                    _ = try await ask(.post, "/v1/groups", Site.record(group))
                    #expect(try await ask(.post, "/v1/groups/\(group)/start").status == 202)
                }
                try await body(site, ask)
            }
        }
    }

    /// Reads the live view until `isEnough` of all that came so far.
    private func read(
        _ ask: Asker, token: String, group: String? = nil, _ isEnough: ([WatchItem]) async throws -> Bool
    ) async throws -> [WatchItem] {
        let port = try #require(ask.client.port)
        return try await withClient(server: "http://127.0.0.1:\(port)", token: token) { client in
            var items: [WatchItem] = []
            for try await case .item(let item) in client.watch(group: group) {
                items.append(item)
                if try await isEnough(items) { break }
            }
            return items
        }
    }

    @Test("A picture comes first, groups before machines before rollouts, and then what is committed")
    func pictureThenLive() async throws {
        try await site { site, ask in
            var replies: [Int] = []
            let items = try await read(ask, token: site.token) { items in
                if case .ready = items.last { replies.append(try await ask(.post, "/v1/groups/b/pause").status) }
                return items.contains { if case .event(let event) = $0 { event.kind == .groupPaused } else { false } }
            }
            #expect(replies == [202])
            let names = items.map(\.name)
            #expect(names.prefix(6) == [.snapshot, .group, .group, .machine, .machine, .machine])
            let ready = try #require(names.firstIndex(of: .ready))
            #expect(names[..<ready].count { $0 == .machine } == 4)
            #expect(items.first == .snapshot(SnapshotView(why: .begin, version: Version.text, groups: 2, machines: 4)))
            // The group as it is now stands before the event that tells of it.
            let paused = try #require(items[ready...].firstIndex { $0.group?.status.phase == .paused })
            #expect(paused < items.count - 1)
            #expect(items.last.map { $0.event?.group } == "b")
        }
    }

    @Test("A place is resumed without a gap and without a picture; one that is not known gets both")
    func resumption() async throws {
        try await site { site, ask in
            let view = site.control.queries.view
            let start = site.control.queries.signal.newest
            let known = WatchPlace(run: view.run, change: view.newestChange, event: start)
            try await site.control.setSecret("one", to: "x", by: Site.user)
            func first(_ id: String, until count: Int) async throws -> [WatchItem] {
                let stream = try await site.control.watch(WatchRequest(last: id))
                var items: [WatchItem] = []
                for try await batch in stream {
                    items += batch.items
                    if items.count(where: { $0.name == .event }) >= count { break }
                }
                return items
            }
            let resumed = try await first("\(known)", until: 1)
            #expect(!resumed.map(\.name).contains(.snapshot))
            #expect(resumed.compactMap(\.event).map(\.kind) == [.secretSet])
            // Of an earlier manager, and of one whose changes are not reached yet: the events go on, the rest is told anew.
            for place in [
                WatchPlace(run: "0", change: known.change, event: start),
                WatchPlace(run: view.run, change: view.newestChange + 1, event: start),
            ] {
                let items = try await first("\(place)", until: 1)
                #expect(items.first?.snapshot?.why == .unknown)
                #expect(items.compactMap(\.event).map(\.kind) == [.secretSet])
            }
            // Ids that nobody gave, or that the records do not have yet.
            for id in ["", "nonsense", "-1.-1.-1", "\(WatchPlace(run: view.run, change: known.change, event: .max))x"] {
                let cursor = WatchCursor(WatchRequest(last: id), queries: site.control.queries) { _ in nil }
                var items: [WatchItem] = []
                while items.last?.name != .ready { items += try await cursor.next()?.items ?? [] }
                try await site.control.setSecret("two", to: "x\(id)", by: Site.user)
                items += try await cursor.next()?.items ?? []
                #expect(items.compactMap(\.event).map(\.kind) == [.secretSet])
                #expect(items.first?.snapshot?.why == .unknown, "\(id)")
            }
        }
    }

    @Test("A reader that lags behind what is kept is told so with a new picture, and misses no event")
    func lag() async throws {
        var changes = ViewChanges(limit: 4)
        for number in 1...20 { changes.append(.group("g\(number)")) }
        #expect(changes.newest == 20 && changes.after(3, atMost: 9) == nil && changes.after(21, atMost: 9) == nil)
        #expect(changes.after(18, atMost: 9) == [.group("g19"), .group("g20")] && changes.after(20, atMost: 9) == [])
        #expect(changes.after(16, atMost: 1) == [.group("g17")])
        try await site { site, ask in
            let cursor = WatchCursor(WatchRequest(), queries: site.control.queries) { _ in nil }
            var items: [WatchItem] = []
            while items.last?.name != .ready { items += try await cursor.next()?.items ?? [] }
            let view = site.control.queries.view
            for _ in 0..<2 * ViewChanges.usual + 1 { view.noteHistory() }
            try await site.control.setSecret("late", to: "x", by: Site.user)
            items = []
            while items.last?.event?.kind != .secretSet { items += try await cursor.next()?.items ?? [] }
            #expect(items.first?.snapshot?.why == .lag)
            #expect(items.count { $0.name == .machine } == 4)
        }
    }

    @Test("What only a heartbeat changed is sent at most once a second, and not at all to whoever does not ask for it")
    func pulse() async throws {
        let time = Mutex<Int64>(1_000_000)
        let clock = ManagerClock(
            wall: { Timestamp(milliseconds: 1_767_225_600_000 + time.withLock { $0 }) },
            sinceBoot: { time.withLock { $0 } })
        try await Site.with(clock: clock) { site in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record(count: 1, platform: "none"))
            }
            let ticket = try await site.control.invite(
                to: "test", InvitationRequest(uses: 1, ttl: .hours(1)), by: Site.user)
            var machine = PaperMachine("test-xaaaaaaa", ticket: ticket)
            try await site.say(machine.registration(), on: machine.registerTopic)
            var sequence = 0
            func say(_ calls: Double) async throws {
                sequence += 1
                try await site.say(
                    machine.status(sequence: sequence, state: .idle, metrics: ["calls": calls]),
                    on: machine.statusTopic)
            }
            try await say(1)
            for hasMetrics in [true, false] {
                let cursor = WatchCursor(WatchRequest(hasMetrics: hasMetrics), queries: site.control.queries) { _ in nil
                }
                func items(until isEnough: (WatchItem) -> Bool) async throws -> [WatchItem] {
                    var items: [WatchItem] = []
                    while let batch = try await cursor.next() {
                        items += batch.items
                        if batch.items.contains(where: isEnough) { return items }
                    }
                    return items
                }
                func calls(_ items: [WatchItem]) -> [Double] { items.compactMap { $0.machine?.metrics["calls"] } }
                _ = try await items { $0.name == .ready }
                try await say(2)
                try await site.control.setSecret("first", to: "\(hasMetrics)", by: Site.user)
                var seen = try await items { $0.event?.kind == .secretSet }
                if calls(seen).isEmpty, hasMetrics { seen += try await items { $0.name == .machine } }
                #expect(calls(seen) == (hasMetrics ? [2] : []))
                try await say(3)
                try await say(4)
                try await site.control.setSecret("second", to: "\(hasMetrics)", by: Site.user)
                seen = try await items { $0.event?.kind == .secretSet }
                #expect(calls(seen).isEmpty, "its second is not over")
                time.withLock { $0 += 1000 }
                try await site.control.setSecret("third", to: "\(hasMetrics)", by: Site.user)
                seen = try await items { $0.event?.kind == .secretSet }
                #expect(calls(seen) == (hasMetrics ? [4] : []))
                time.withLock { $0 += 1000 }
            }
        }
    }

    @Test("Machines that are named come alone, each with its loads, and only to who may see them")
    func named() async throws {
        try await Site.with { site in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record(count: 2, platform: "none"))
                for names in ["", "a,", "A", "a b", Array(repeating: "a", count: 201).joined(separator: ",")] {
                    let query = names.replacing(" ", with: "%20")
                    let answer = try await ask(
                        .get, "/v1/watch?machine=\(query)", nil, ["Accept": "text/event-stream"])
                    #expect(answer.status == 400, "\(names.prefix(10))")
                }
            }
            let ticket = try await site.control.invite(
                to: "test", InvitationRequest(uses: 2, ttl: .hours(1)), by: Site.user)
            var machines = ["a", "b"].map { PaperMachine("test-xaaaaaa\($0)", ticket: ticket) }
            for index in machines.indices {
                try await site.say(machines[index].registration(), on: machines[index].registerTopic)
            }
            var sequence = 0
            func say(_ index: Int, _ calls: Double) async throws {
                sequence += 1
                try await site.say(
                    machines[index].status(sequence: sequence, state: .idle, metrics: ["calls": calls]),
                    on: machines[index].statusTopic)
            }
            for index in machines.indices { try await say(index, 1) }
            func cursor(within pattern: String?) throws -> WatchCursor {
                let request = WatchRequest(
                    machines: ["test-xaaaaaab", "test-none"],
                    within: try pattern.map { try #require(GroupPattern($0)) })
                return WatchCursor(request, queries: site.control.queries) { _ in nil }
            }
            let reader = try cursor(within: nil)
            var items: [WatchItem] = []
            while items.last?.name != .ready { items += try await reader.next()?.items ?? [] }
            #expect(items.map(\.name) == [.snapshot, .machine, .ready])
            #expect(items.first?.snapshot?.machines == 1 && items[1].machine?.id == "test-xaaaaaab")
            // Neither the history, nor the group, nor the other machine wakes it.
            try await site.control.setSecret("one", to: "x", by: Site.user)
            try await say(0, 2)
            try await say(1, 3)
            let next = try await reader.next()?.items ?? []
            #expect(next.map { $0.machine?.metrics["calls"] } == [3])
            // Nor is there anything for whoever sees other groups only.
            let narrow = try cursor(within: "other*")
            items = []
            while items.last?.name != .ready { items += try await narrow.next()?.items ?? [] }
            #expect(items.map(\.name) == [.snapshot, .ready])
        }
    }

    @Test("A revoked token's view ends; the manager's end ends all")
    func ends() async throws {
        try await site { site, ask in
            let (token, port) = (try await site.token(.viewer), try #require(ask.client.port))
            func open(_ token: String) throws -> Int32 {
                let descriptor = try TCP.connect(to: port)
                Wire.send(
                    descriptor,
                    "GET /v1/watch HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(token)\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n"
                )
                return descriptor
            }
            let (ended, other) = (try open(token), try open(site.token))
            defer { for descriptor in [ended, other] { close(descriptor) } }
            for descriptor in [ended, other] {
                #expect(await Wire.read(from: descriptor, until: "event: ready").contains("event: ready"))
            }
            try await site.control.revokeToken("t-viewer", by: Site.user)
            #expect(await Wire.read(from: ended).hasSuffix("0\r\n\r\n"))
            site.control.queries.view.changed.close()
            let rest = await Wire.read(from: other)
            #expect(rest.contains("token.revoked") && rest.hasSuffix("0\r\n\r\n"))
        }
    }

    @Test("A token for some groups sees those, whatever it asks for")
    func scope() async throws {
        try await site { site, ask in
            let narrow = try await site.token(.viewer, of: "b")
            var replies: [Int] = []
            let items = try await read(ask, token: narrow) { items in
                if case .ready = items.last {
                    for group in ["a", "b"] {
                        replies.append(try await ask(.post, "/v1/groups/\(group)/pause").status)
                    }
                }
                return items.contains { $0.event?.kind == .groupPaused }
            }
            #expect(replies == [202, 202])
            let groups = Set(items.flatMap(\.groups))
            #expect(groups == ["b"])
            #expect(items.first?.snapshot?.groups == 1 && items.first?.snapshot?.machines == 2)
            for group in ["a", "none"] {
                let answer = try await ask.with(narrow)(
                    .get, "/v1/watch?group=\(group)", nil, ["Accept": "text/event-stream"])
                #expect(answer.status == 403, "\(group)")
            }
            let unknown = try await ask(.get, "/v1/watch?group=none", nil, ["Accept": "text/event-stream"])
            #expect(unknown.status == 404)
            #expect(try await ask(.get, "/v1/watch").status == 406)
        }
    }
}

extension WatchItem {
    fileprivate var name: Name {
        switch self {
        case .snapshot: .snapshot
        case .ready: .ready
        case .group: .group
        case .machine: .machine
        case .rollout: .rollout
        case .removed: .removed
        case .event: .event
        }
    }
    fileprivate var snapshot: SnapshotView? { if case .snapshot(let view) = self { view } else { nil } }
    fileprivate var group: GroupView? { if case .group(let view) = self { view } else { nil } }
    fileprivate var machine: MachineView? { if case .machine(let view) = self { view } else { nil } }
    fileprivate var event: EventEntry? { if case .event(let event) = self { event } else { nil } }

    /// Whose it is.
    fileprivate var groups: [String] {
        switch self {
        case .snapshot, .ready: []
        case .group(let view): [view.name]
        case .machine(let view): [view.group]
        case .rollout(let view): [view.group]
        case .removed(let view): [view.group]
        case .event(let event): [event.group ?? "none"]
        }
    }
}
