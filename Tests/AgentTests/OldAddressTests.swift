import Fleet
import Foundation
import Messaging
import Sealing
import Testing
import TestSupport

@Suite("Where the brokers are, said by orders")
struct OldAddressTests {
    @Test(
        "an order that is said again brings no older list of addresses back, nor does one that names none, also after a restart"
    )
    func saidAgain() async throws {
        try await withMachine { manager, agent in
            let relays = try (0..<3).map { _ in try Relay(to: manager.broker.port) }
            let urls = relays.map { "mqtt://127.0.0.1:\($0.port)" }
            var ticket = manager.ticket()
            ticket.broker = urls[0]
            try agent.write(ticket)
            try agent.start()
            let bundle = try SampleBundle()
            func order(_ issue: Int, at url: String?) -> OrderContent {
                var order = bundle.order(1, heartbeat: .milliseconds(500), issue: issue)
                order.brokers = url.map { BrokerAddresses(known: [$0], boot: []) }
                return order
            }
            func isSaid(_ issue: Int) async throws {
                try await manager.status("issue \(issue)") { $0.issue == Issue(epoch: 1, number: issue) }
            }
            let old = try await manager.sealed(order(1, at: urls[1]))
            try await manager.order(bundle, order(1, at: urls[1]))
            try await manager.running(bundle, generation: 1)
            try await manager.order(bundle, order(2, at: urls[2]))
            try await isSaid(2)
            try await manager.publishOrder(old)
            try await manager.status("that it is old") { $0.reason?.contains("older word (1.1)") == true }
            try await manager.order(bundle, order(3, at: nil))
            try await isSaid(3)
            // What the ticket names goes for good.
            try await relays[0].close()
            let session = try #require(manager.latest?.session)
            try await manager.status("another session") { $0.session > session }
            try await agent.end(SIGKILL)
            // Attempts to connect are sessions, too.
            let last = manager.statuses.count
            let before = try #require(manager.latest?.session)
            try agent.start()
            try await manager.status("one more session") { $0.session > before && manager.statuses.count > last }
            #expect(!relays[2].versions.isEmpty && relays[1].versions.isEmpty)
            for relay in relays[1...] { try await relay.close() }
        }
    }
}
