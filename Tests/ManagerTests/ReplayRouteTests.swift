import Fleet
import Foundation
import HTTPTypes
import Monitor
import Simulator
import TestSupport
import Testing

@testable import Manager

@Suite("The journal, asked by REST")
struct ReplayRouteTests {
    private static func record(_ rules: String = "") -> String {
        """
        group "test" {
          service  = voice
          software = "soft@1"
          machines { count = 1  platform = none }
          \(rules)
        }
        """
    }

    private static let busy = "rule \"restart busy\" { when metric(\"calls\") > 80 then restart }"
    private static let id = "test-x1234567"

    /// A group with one machine that reports this many calls, one status after the other.
    private static func with(
        _ rules: String = "", calls: [Double],
        _ body: @escaping @Sendable (Site, Asker, PaperMachine) async throws -> Void
    ) async throws {
        try await Site.with { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                #expect(try await ask(.post, "/v1/groups", record(rules)).status == 201)
                _ = try await ask(.post, "/v1/groups/test/start")
                let ticket = try await site.control.invite(
                    to: "test", InvitationRequest(uses: 1, ttl: .hours(1)), by: Site.user)
                var machine = PaperMachine(id, ticket: ticket)
                try await site.say(machine.registration(), on: machine.registerTopic)
                for (index, calls) in calls.enumerated() { try await report(calls, index + 1, by: machine, at: site) }
                try await body(site, ask, machine)
            }
        }
    }

    private static func report(_ calls: Double, _ sequence: Int, by machine: PaperMachine, at site: Site) async throws {
        let order = try #require(await site.control.monitor.machine(machine.id)?.wanted.order)
        let running = RunningSoftware(
            name: order.software.name, version: order.software.version, digest: order.digest,
            generation: order.generation, health: .passing, since: .now, restarts: 0)
        try await site.say(
            machine.status(
                sequence: sequence, state: .running, order: order.generation, software: running,
                metrics: ["calls": calls]), on: machine.statusTopic)
    }

    @Test("says what another rule would have done, to which machine and for which facts, and changes nothing")
    func would() async throws {
        try await Self.with(calls: [10, 90]) { site, ask, _ in
            let before = try await ask(.get, "/v1/groups/test").body
            let reply = try await ask(.post, "/v1/replay?over=1h", Self.record(Self.busy))
            #expect(reply.status == 200, "\(reply.body)")
            let replay: ReplayView = try reply.decoded()
            let act = try #require(replay.acts.first)
            #expect(replay.acts.count == 1 && replay.more == 0)
            #expect((act.machine, act.rule, act.action, act.would) == (Self.id, "restart busy", "restart", true))
            #expect(act.facts == ["metric(\"calls\")": "90"])
            #expect(replay.events >= 2 && replay.gaps.isEmpty)
            #expect(replay.remarks.contains { $0.contains("history goes back to") })
            #expect(try await ask(.get, "/v1/groups/test").body == before)
            let same: ReplayView = try await ask(.post, "/v1/replay", Self.record()).decoded()
            #expect(same.acts.isEmpty && same.events == replay.events)
        }
    }

    @Test("says what was done and would not have been, and that only rules are asked")
    func wouldNot() async throws {
        try await Self.with(Self.busy, calls: [10, 90]) { site, ask, _ in
            #expect(await site.control.monitor.machine(Self.id)?.wanted.order?.generation == 2)
            let other = Self.record().replacing("count = 1", with: "count = 3")
            let replay: ReplayView = try await ask(.post, "/v1/replay", other).decoded()
            // A record without rules has the usual ones, one of which delivers.
            let wouldNot = replay.acts.filter { !$0.would }
            #expect(wouldNot.map(\.rule) == ["restart busy"])
            #expect(wouldNot.map(\.machine) == [Self.id])
            #expect(replay.remarks.contains { $0.hasPrefix("only rules are asked") })
            let same: ReplayView = try await ask(.post, "/v1/replay", Self.record(Self.busy)).decoded()
            #expect(same.acts.isEmpty && same.same == 1)
        }
    }

    @Test("explains a machine as it was, with the events until then")
    func earlier() async throws {
        try await Self.with(calls: [10]) { site, ask, machine in
            let then = Timestamp.now
            func ago() -> TimeSpan { Timestamp.now - then }
            let later = try await eventually { ago() > .milliseconds(50) }
            #expect(later)
            let now: ExplanationView = try await ask(.get, "/v1/machines/\(Self.id)/explain").decoded()
            try await Self.report(20, 2, by: machine, at: site)
            #expect(try await ask(.post, "/v1/groups/test/pause").status == 202)
            let past: ExplanationView = try await ask(.get, "/v1/machines/\(Self.id)/explain?ago=\(ago())").decoded()
            // How long it has been so is another time, where a second ended between the two.
            func timeless(_ text: String) -> String { text.replacing(/[0-9]+s/, with: "a while") }
            #expect(timeless(past.summary) == timeless(now.summary))
            #expect(past.rules.map(\.waits) == now.rules.map(\.waits))
            #expect(past.rules.map(\.when) == now.rules.map(\.when) && !past.rules.isEmpty)
            #expect(past.events == now.events)
            let at = try #require(past.at)
            #expect(at <= Timestamp.now - .milliseconds(50))
            let paused: ExplanationView = try await ask(.get, "/v1/machines/\(Self.id)/explain").decoded()
            #expect(paused.rules.allSatisfy { $0.waits.contains("paused") })
            #expect(paused.at == nil)
        }
    }

    @Test("refuses what it can't know, and says why")
    func refused() async throws {
        try await Self.with(calls: [10]) { (_, ask, _) async throws in
            for (query, status) in [("1x", 400), ("-1m", 400), ("9999999d", 400), ("999999d", 404)] {
                #expect(
                    try await ask(.get, "/v1/machines/\(Self.id)/explain?ago=\(query)").status == status, "\(query)")
            }
            #expect(try await ask(.get, "/v1/machines/none/explain?ago=1m").status == 404)
            #expect(try await ask(.post, "/v1/replay", Self.record().replacing("test", with: "other")).status == 404)
            #expect(try await ask(.post, "/v1/replay", "group").status == 422)
            #expect(try await ask(.post, "/v1/replay?over=soon", Self.record()).status == 400)
        }
    }
}
