import Dispatch
import Fleet
import Foundation
import HTTPTypes
import Records
import TestSupport
import Testing

@testable import Manager

@Suite("What people read")
struct QueriesTests {
    @Test("is answered while the control room is held up, all of it", .timeLimit(.minutes(1)))
    func besideControl() async throws {
        try await Site.with { site in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record(), ["Idempotency-Key": "k"])
            }
            let scoped = try await site.token(.viewer, of: "te*")
            try await site.rest { (ask) async throws in
                // A burst that does not end: whatever goes to the control room waits behind it.
                let (entered, left) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
                let burst = Task { try await site.control.holdUp(entered, until: left) }
                defer { left.signal() }
                await withCheckedContinuation { continuation in
                    DispatchQueue.global().async {
                        entered.wait()
                        continuation.resume()
                    }
                }
                for path in [
                    "/v1/groups", "/v1/groups/test", "/v1/groups/test/revisions", "/v1/machines",
                    "/v1/machines?group=test", "/v1/software", "/v1/software/soft/1", "/v1/events", "/v1/audit",
                    "/v1/audit/verify", "/v1/tokens", "/v1/secrets", "/v1/status", "/v1/whoami", "/v1/events?since=1h",
                    "/metrics", "/healthz",
                ] {
                    #expect(try await ask(.get, path).status == 200, "\(path)")
                }
                for path in ["/v1/groups", "/v1/machines", "/v1/events", "/metrics"] {
                    #expect(try await ask.with(scoped)(.get, path).status == 200, "\(path), scoped")
                }
                #expect(try await ask(.get, "/readyz").status == 503)
                let repeated = try await ask(.post, "/v1/groups", Site.record(), ["Idempotency-Key": "k"])
                #expect(repeated.status == 201)
                left.signal()
                try await burst.value
            }
        }
    }

    @Test(
        "of the history comes whole and in order to a fast reader and to one that stands still", .timeLimit(.minutes(2))
    )
    func slowBesideFast() async throws {
        let count: Int64 = 50_000
        try await Site.with { site in
            let queries = site.control.queries
            let first = try site.control.records.lastEventID()
            var slow = queries.eventStream(EventFilter(), after: first).makeAsyncIterator()
            try Self.write(500, to: site)
            #expect(try await slow.next()?.id == first + 1)
            async let fast: [Int64] = {
                var ids: [Int64] = []
                for try await event in queries.eventStream(EventFilter(), after: first) {
                    ids.append(event.id)
                    if ids.count == count { break }
                }
                return ids
            }()
            for _ in 1..<Int(count) / 500 { try Self.write(500, to: site) }
            #expect(try await fast == Array(first + 1...first + count))
            // Only now does the other go on.
            var expected = first + 2
            while expected <= first + count, let event = try await slow.next(), event.id == expected { expected += 1 }
            #expect(expected == first + count + 1)
        }
    }

    @Test(
        "of the history ends for who is gone and when the manager ends, also in the middle of waiting",
        .timeLimit(.minutes(1)))
    func ends() async throws {
        try await Site.with { site in
            let queries = site.control.queries
            let newest = try site.control.records.lastEventID()
            let (gone, waiting) = (
                Task { try await queries.eventStream(EventFilter(), after: newest).first { _ in true } },
                Task { try await queries.eventStream(EventFilter(), after: newest).first { _ in true } }
            )
            gone.cancel()
            #expect(try await gone.value == nil)
            queries.signal.close()
            #expect(try await waiting.value == nil)
        }
    }

    @Test("of a filtered history goes on behind what does not concern it")
    func filtered() async throws {
        try await Site.with { site in
            let queries = site.control.queries
            var stream = queries.eventStream(EventFilter(group: "mine"), after: 0).makeAsyncIterator()
            try Self.write(1000, to: site)
            try Self.write(1, to: site, group: "mine")
            let id = try site.control.records.lastEventID()
            #expect(try await stream.next()?.id == id)
        }
    }

    private static func write(_ count: Int, to site: Site, group: String? = nil) throws {
        let events = (0..<count).map { number in
            Records.Change.event(
                EventEntry(at: .now, group: group, kind: .machineState, actor: "manager", message: "\(number)"))
        }
        let written = try site.control.records.commit(events)
        site.control.queries.signal.announce(written.last?.id ?? 0)
    }
}

extension Control {
    fileprivate func holdUp(_ entered: DispatchSemaphore, until left: DispatchSemaphore) throws {
        try transact { _, _ in
            entered.signal()
            left.wait()
        }
    }
}

@Suite("A slot between a stream and its reader")
struct StreamSlotTests {
    @Test("holds one element: the next one waits until it was taken", .timeLimit(.minutes(1)))
    func pressure() async {
        let slot = StreamSlot<Int>()
        let writer = Task {
            var put = 0
            for number in 1...1000 where await slot.put(number) { put += 1 }
            slot.close()
            return put
        }
        #expect(await slot.take() == 1)
        var taken = [1]
        while let next = await slot.take() {
            taken.append(next)
            // Where something waits already, a sign of life is not needed.
            if next == 500 { slot.offer(0) }
        }
        #expect(taken.filter { $0 != 0 } == Array(1...1000))
        #expect(await writer.value == 1000)
    }

    @Test("lets go of both sides when it is closed or a side is cancelled", .timeLimit(.minutes(1)))
    func closing() async {
        let slot = StreamSlot<Int>()
        slot.offer(1)
        slot.offer(2)
        let writer = Task { await slot.put(3) }
        writer.cancel()
        #expect(await writer.value == false)
        #expect(await slot.take() == 1, "what was in it is still there")
        #expect(await slot.take() == nil)
        let empty = StreamSlot<Int>()
        let reader = Task { await empty.take() }
        reader.cancel()
        #expect(await reader.value == nil)
        #expect(await empty.put(1) == false)
    }
}

@Suite("The live view")
struct LiveViewTests {
    @Test("shows what was published last, by group, by pattern and page by page", arguments: 0..<20)
    func likeADictionary(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let view = LiveView()
        var known: [String: MachineRecord] = [:]
        let groups = ["a", "ab", "b"]
        for _ in 0..<300 {
            let id = "m-\(Int.random(in: 0..<60, using: &random))"
            let machine: MachineRecord? =
                random.next() % 3 == 0
                ? nil
                : MachineRecord(
                    id: id, group: groups.randomElement(using: &random) ?? "a", index: 0, platform: .local,
                    phase: .joined, phaseSince: Timestamp(milliseconds: Int64.random(in: 0..<9, using: &random)))
            known[id] = machine
            view.publish(machines: [id: machine], groups: [:], deafness: nil)
        }
        let sorted = known.values.sorted { $0.id < $1.id }
        #expect(sorted.count > 10)
        #expect(view.machines(group: nil, after: "", limit: 99, within: nil) == sorted)
        for group in groups {
            let own = sorted.filter { $0.group == group }
            #expect(view.machines(group: group, after: "", limit: 99, within: nil) == own)
            #expect(
                view.machines(group: group, after: own.first?.id ?? "", limit: 3, within: nil)
                    == Array(own.dropFirst().prefix(3)))
        }
        let pattern = try #require(GroupPattern("a*"))
        let ours = sorted.filter { $0.group != "b" }
        #expect(
            view.machines(group: nil, after: ours[2].id, limit: 4, within: pattern)
                == Array(ours.dropFirst(3).prefix(4)))
        #expect(view.machines(group: "b", after: "", limit: 9, within: pattern).isEmpty)
        for machine in sorted { #expect(view.machine(machine.id) == machine) }
        view.replace(machines: Array(sorted.dropLast()), groups: [:], deafness: nil)
        #expect(view.machines(group: nil, after: "", limit: 99, within: nil) == Array(sorted.dropLast()))
    }
}

@Suite("Metrics as text")
struct MetricsTextTests {
    @Test("has each family once, its labels in order and escaped")
    func format() {
        var text = MetricsText()
        text.counter("things_total", "Things \\ lines\nof it.", 3)
        text.family("sizes_bytes", .gauge, "Sizes.", [(["b": "x\"y\\z\n", "a": "1"], 1.5), ([:], .infinity)])
        #expect(
            text.text == """
                # HELP trunkline_things_total Things \\\\ lines\\nof it.
                # TYPE trunkline_things_total counter
                trunkline_things_total 3
                # HELP trunkline_sizes_bytes Sizes.
                # TYPE trunkline_sizes_bytes gauge
                trunkline_sizes_bytes{a="1",b="x\\"y\\\\z\\n"} 1.5
                trunkline_sizes_bytes +Inf

                """)
    }
}
