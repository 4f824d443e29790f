import FoundationEssentials
import Messaging
import Testing
import TestSupport

@Suite("Two clients with one id")
struct TakeOverTests {
    @Test("whose broker says so: it is the reason of the loss, and counted")
    func told() async throws {
        try await withBroker { broker in
            let relay = try Relay(to: broker.port)
            try await withConnection(to: "mqtt://127.0.0.1:\(relay.port)") {
                (connection: Connection, inbox: Inbox) async throws -> Void in
                // DISCONNECT, session taken over.
                relay.inject([0xe0, 1, 0x8e])
                #expect(try await eventually { connection.takeOvers == 1 })
                #expect(
                    try await eventually { inbox.disconnects == ["another client with the same id took its place"] })
                #expect(try await eventually(within: .seconds(40)) { inbox.connects == 2 })
                relay.inject([0xe0, 1, 0x8b])
                #expect(try await eventually(within: .seconds(40)) { inbox.connects == 3 })
                #expect(connection.takeOvers == 1, "a broker that shuts down is no other client")
            }
            try await relay.close()
        }
    }

    @Test("a connection that is lost in another way is no take-over")
    func otherwise() async throws {
        try await withBroker { broker in
            let relay = try Relay(to: broker.port)
            try await withConnection(to: "mqtt://127.0.0.1:\(relay.port)") { connection, inbox in
                relay.cut()
                #expect(try await eventually { inbox.connects == 2 })
                try await broker.restart(keepingPersistence: false)
                #expect(try await eventually { inbox.connects == 3 })
                #expect(connection.takeOvers == 0)
            }
            try await relay.close()
        }
    }
}
