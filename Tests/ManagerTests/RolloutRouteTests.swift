import Fleet
import Foundation
import HTTPTypes
import Monitor
import Simulator
import Records
import TestSupport
import Testing

@testable import Manager

@Suite("Rollouts by REST")
struct RolloutRouteTests {
    private static func record(_ version: String) -> String {
        """
        group "test" {
          service  = voice
          software = "soft@\(version)"
          machines { count = 2  platform = none }
          rollout {
            canary = 1
            settle = 0s
            drain { until = metric("calls") == 0  at_most = 30m }
          }
        }
        """
    }

    /// A machine that does as it is told, as far as its reports go.
    private struct Obedient {
        var paper: PaperMachine
        var sequence = 0

        mutating func report(_ site: Site) async throws {
            guard let machine = await site.control.monitor.machine(paper.id), let order = machine.wanted.order else {
                return
            }
            let running = RunningSoftware(
                name: order.software.name, version: order.software.version, digest: order.digest,
                generation: order.generation, health: .passing, since: .now, restarts: 0)
            sequence += 1
            try await site.say(
                paper.status(
                    sequence: sequence, state: order.action == .drain ? .draining : .running, order: order.generation,
                    software: running), on: paper.statusTopic)
        }
    }

    @Test("A canary waits for a person's word, drains are shown and taken back, and an abort makes a new revision")
    func course() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                for version in ["1", "2"] {
                    #expect(try await ask.push(try site.bundle(version: version), "soft/\(version)").status == 201)
                }
                #expect(try await ask(.post, "/v1/groups", Self.record("1")).status == 201)
                _ = try await ask(.post, "/v1/groups/test/start")
                let ticket = try await site.control.invite(
                    to: "test", InvitationRequest(uses: 2, ttl: .hours(1)), by: Site.user)
                var machines = ["test-x1234567", "test-x7654321"].map {
                    Obedient(paper: PaperMachine($0, ticket: ticket))
                }
                for index in machines.indices {
                    try await site.say(
                        machines[index].paper.registration(), on: machines[index].paper.registerTopic)
                    try await machines[index].report(site)
                }
                func rollout() async throws -> RolloutView { try await ask(.get, "/v1/groups/test/rollout").decoded() }
                #expect(try await rollout().phase == .done)

                // A drain by hand, seen at the machine, and taken back.
                let drained: MachineView = try await ask(.post, "/v1/machines/test-x1234567/drain").decoded()
                #expect(drained.drain == .hand)
                #expect(await site.control.monitor.machine("test-x1234567")?.wanted.order?.action == .drain)
                #expect(await site.control.monitor.machine("test-x1234567")?.wanted.order?.generation == 1)
                #expect(try await ask(.post, "/v1/machines/test-x1234567/undrain").status == 202)
                #expect(try await ask(.post, "/v1/machines/test-x1234567/undrain").status == 409)
                try await machines[0].report(site)

                let plan: PlanView = try await ask(.post, "/v1/plan", Self.record("2")).decoded()
                #expect(plan.course?.waves.map(\.machines) == [["test-x1234567"], ["test-x7654321"]])
                #expect(plan.course?.promotion == true && plan.course?.waits == nil)
                let id = try #require(plan.id)
                #expect(try await ask(.put, "/v1/groups/test?plan=0123456789abcdef", Self.record("2")).status == 412)
                #expect(try await ask(.put, "/v1/groups/test?plan=\(id)", Self.record("2")).status == 200)
                #expect(try await ask(.put, "/v1/groups/test?plan=\(id)", Self.record("2")).status == 412)
                #expect(try await rollout().draining == 1)
                #expect(try await ask(.post, "/v1/groups/test/rollout/promote").status == 202)
                #expect(try await ask(.post, "/v1/groups/test/rollout/abort?reason=wrong%20day").status == 202)
                #expect(
                    try await eventually { try await site.control.row("test").revision == 3 },
                    "the record says again what it said before")
                let audit = try await ask(.get, "/v1/audit?limit=1000").body
                #expect(audit.contains("rollout.instructed") && audit.contains("wrong day"))
                let old: [RolloutView] = try await ask(.get, "/v1/groups/test/rollouts").page()
                #expect(old.map(\.number) == [3, 2, 1])
                let revisions: [RevisionView] = try await ask(.get, "/v1/groups/test/revisions").page()
                #expect(revisions.map { $0.rollouts.map(\.number) } == [[3], [2], [1]], "each by its revision")
                #expect(revisions.map { $0.rollouts.map(\.phase) }[1] == [.failed])
                let second: RevisionView = try await ask(.get, "/v1/groups/test/revisions/2").decoded()
                #expect(second.rollouts == revisions[1].rollouts)
                #expect(old[1].phase == .failed && old[1].why?.contains("wrong day") == true)
                #expect(await site.control.monitor.machine("test-x1234567")?.wanted.order?.generation == 1)
            }
        }
    }
}

extension Asker.Reply {
    func decoded<Value: Decodable>() throws -> Value {
        try JSONDecoder().decode(Value.self, from: Data(body.utf8))
    }

    fileprivate func page<Item: Codable & Sendable>() throws -> [Item] {
        try JSONDecoder().decode(Page<Item>.self, from: Data(body.utf8)).items
    }
}
