import Fleet
import HTTPTypes
import HummingbirdTesting
import Records
import Simulator
import Testing

@testable import Manager

@Suite("Words of the manager that a machine has heard and the records do not know")
struct IssueTests {
    @Test(
        "are outdone where another manager may have said them, also one that was restored by a wrong clock, and else not believed",
        arguments: [
            (Fleet.Issue(epoch: 2, number: 3), true), (Fleet.Issue(epoch: 1, number: 900_000), true),
            // Of a restoration in 2026, and of one by a clock that stood in 2130.
            (Fleet.Issue(epoch: 1_795_000_000, number: 5), true), (Fleet.Issue(epoch: 5_050_000_000, number: 5), true),
            (Fleet.Issue(epoch: 1 << 50, number: 1), false), (Fleet.Issue(epoch: 1, number: 1 << 40), false),
        ])
    func outdone(heard: Fleet.Issue, isBelieved: Bool) async throws {
        try await Site.with { (site) async throws in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record(count: 1, platform: "none"))
                _ = try await ask(.post, "/v1/groups/test/start")
                let ticket = try await site.control.invite(
                    to: "test", InvitationRequest(uses: 1, ttl: .hours(1)), by: Site.user)
                var machine = PaperMachine("test-xaaaaaaa", ticket: ticket)
                try await site.say(machine.registration(), on: machine.registerTopic)
                let before = await site.control.issue
                let status = Status(
                    group: "test", machine: machine.id, session: 1, sequence: 1, at: Timestamp(milliseconds: 0),
                    state: .idle, issue: heard)
                try await site.say(machine.signed(status), on: machine.statusTopic)
                let after = await site.control.issue
                #expect((after > heard) == isBelieved && after >= before)
                #expect(try site.control.records.issue() == after)
            }
        }
    }
}
