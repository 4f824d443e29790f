import FoundationEssentials
import Glibc
import Messaging
import Testing
import TestSupport

extension ConnectionTests {
    @Suite("when the connection is lost", .serialized, .timeLimit(.minutes(2)))
    struct ReconnectTests {
        @Test("the broker sends the will; after the reconnect it has a new one")
        func wills() async throws {
            try await withBroker { broker in
                let relay = try Relay(to: broker.port)
                let attempts = Counter()
                try await withConnection(to: broker.url, subscribing: ["will"]) { _, inbox in
                    try await withConnection(
                        to: "mqtt://127.0.0.1:\(relay.port)",
                        will: { text("will", "session \(attempts.next())", retained: true) }
                    ) { (_: Connection, client: Inbox) async throws -> Void in
                        relay.cut()
                        #expect(try await eventually { inbox.texts == ["session 1"] })
                        #expect(try await eventually { client.connects == 2 })
                        relay.cut()
                        #expect(try await eventually { inbox.texts == ["session 1", "session 2"] })
                        #expect(client.disconnects.count >= 1)
                    }
                }
                try await relay.close()
            }
        }

        enum End: CaseIterable {
            case stopped, killed, killedAfterSaving

            var keepsPersistence: Bool { self != .killed }
        }

        @Test(
            "it reconnects to a broker that was stopped, or killed with or without its persistence, and restarted",
            arguments: End.allCases)
        func brokerRestarts(end: End) async throws {
            try await withBroker { broker in
                try await withConnection(to: broker.url, subscribing: ["a"]) { connection, inbox in
                    try await connection.publish(text("kept", "1", retained: true))
                    if end == .killedAfterSaving { try await broker.save(containing: "kept") }
                    if end == .stopped { await broker.stop() } else { await broker.kill() }
                    #expect(try await eventually { !connection.isConnected })
                    await #expect {
                        try await connection.publish(text("a", "offline"))
                    } throws: {
                        ($0 as? MessagingError)?.code == .notConnected
                    }
                    await #expect(throws: MessagingError.self) {
                        try await connection.subscribe(["b"], qos: .atMostOnce)
                    }
                    try await broker.restart(keepingPersistence: end.keepsPersistence)
                    #expect(try await eventually { inbox.connects == 2 })
                    try await connection.publish(text("a", "online"))
                    #expect(try await eventually { inbox.texts == ["online"] })
                    try await connection.subscribe(["kept"], qos: .atLeastOnce)
                    try await connection.publish(text("a", "after"))
                    #expect(try await eventually { inbox.texts.last == "after" })
                    #expect(inbox.texts.contains("1") == end.keepsPersistence)
                }
            }
        }

        @Test("whoever waits for the broker is told")
        func waiting() async throws {
            try await withBroker { broker in
                let relay = try Relay(to: broker.port)
                try await withConnection(to: "mqtt://127.0.0.1:\(relay.port)") { connection, client in
                    let failures = await withTaskGroup(of: MessagingError?.self) { group in
                        for number in 0..<2000 {
                            group.addTask {
                                do throws(MessagingError) {
                                    try await connection.publish(
                                        Message(topic: "n/\(number)", payload: Data(count: 10_000)))
                                    return nil
                                } catch { return error }
                            }
                        }
                        var failures: [MessagingError] = []
                        var isCut = false
                        for await failure in group {
                            if !isCut { relay.cut() }
                            isCut = true
                            if let failure { failures.append(failure) }
                        }
                        return failures
                    }
                    #expect(!failures.isEmpty)
                    #expect(failures.allSatisfy { $0.code == .connectionLost || $0.code == .notConnected })
                    #expect(try await eventually { client.connects == 2 })
                    try await connection.publish(text("a", "it goes on"))
                }
                try await relay.close()
            }
        }

        @Test("a client whose name another one uses takes it back every time, while the other is still there")
        func takenOver() async throws {
            try await withBroker { broker in
                try await withConnection(to: broker.url, clientID: "one", subscribing: ["a"]) { connection, inbox in
                    let connect: [UInt8] =
                        [0x10, 15, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60, 0, 3] + Array("one".utf8)
                    var others: [Int32] = []
                    defer { for other in others { close(other) } }
                    for round in 1...3 {
                        let other = try TCP.connect(to: broker.port)
                        others.append(other)
                        #expect(send(other, connect, connect.count, 0) == connect.count)
                        #expect(try await eventually { inbox.disconnects.count == round })
                        #expect(try await eventually { inbox.connects == round + 1 })
                    }
                    try await connection.publish(text("a", "back"))
                    #expect(try await eventually { inbox.texts == ["back"] })
                    #expect(inbox.disconnects.count == 3)
                }
            }
        }

        @Test("a broker that stops answering is noticed by the keep-alive")
        func silence() async throws {
            try await withBroker { broker in
                try await withConnection(to: broker.url, keepAlive: 5) { connection, inbox in
                    try broker.freeze()
                    #expect(try await eventually(within: .seconds(40)) { !connection.isConnected })
                    try broker.thaw()
                    #expect(try await eventually { inbox.connects == 2 })
                }
            }
        }

        @Test(
            "a broker that does not speak MQTT 5 is spoken to in 3.1.1, at once; who only hung up is asked again the next time",
            arguments: [Relay.VersionFive.closed, .refused])
        func fallsBack(behaviour: Relay.VersionFive) async throws {
            try await withBroker { broker in
                let relay = try Relay(to: broker.port, versionFive: behaviour)
                try await withConnection(to: "mqtt://127.0.0.1:\(relay.port)", subscribing: ["a"]) {
                    connection, inbox in
                    #expect(inbox.disconnects.isEmpty)
                    #expect(relay.versions == [5, 4])
                    try await connection.publish(text("a", "b"))
                    #expect(try await eventually { inbox.texts == ["b"] })
                    relay.cut()
                    #expect(try await eventually { inbox.connects == 2 })
                    #expect(relay.versions == (behaviour == .closed ? [5, 4, 5, 4] : [5, 4, 4]))
                }
                try await relay.close()
            }
        }
    }
}
