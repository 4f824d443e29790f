import Fleet
import HTTPTypes
import HummingbirdTesting
import Messaging
import Monitor
import Simulator
import Records
import TestSupport
import Testing

@testable import Manager

@Suite("Orders to drain")
struct DrainOrderTests {
    @Test(
        "Each change between run and drain is a new word under the same generation; all of them carry the settle time")
    func words() async throws {
        try await Site.with { (site) async throws in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                #expect(try await ask(.post, "/v1/groups", Site.record(count: 1, platform: "none")).status == 201)
                #expect(try await ask(.post, "/v1/groups/test/start").status == 202)
                let ticket = try await site.control.invite(
                    to: "test", InvitationRequest(uses: 1, ttl: .hours(1)), by: Site.user)
                await site.control.set(connected: true)
                var machine = PaperMachine("test-xaaaaaaa", ticket: ticket)
                try await site.say(machine.registration(), on: machine.registerTopic)
                let group = try await site.groupKey
                var last = try #require(try await site.order(of: machine, from: group))
                #expect(last.action == .run && last.settle == .seconds(5))
                for action in [Order.Action.drain, .run, .drain] {
                    try await site.control.change(machine.id, to: action)
                    let order = try #require(try await site.order(of: machine, from: group))
                    #expect(order.action == action && order.generation == last.generation)
                    #expect(order.issue == last.issue.next && order.settle == .seconds(5))
                    last = order
                }
            }
        }
    }
}

extension Control {
    /// As the monitor asks for it: the machine's record with its new order, and that it is sent.
    fileprivate func change(_ id: String, to action: Order.Action) throws {
        try transact { control, burst in
            var machine = try #require(control.monitor.machine(id))
            machine.wanted.order?.action = action
            burst.changes.append(.saveMachine(machine))
            burst.work.append(.order(machine: id))
        }
        // What is committed is what is sealed.
        #expect(reload())
    }
}
