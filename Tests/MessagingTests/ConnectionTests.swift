import Fleet
import FoundationEssentials
import Glibc
import Logging
import Messaging
import Testing
import TestSupport

/// One after the other: some count the process's threads and descriptors.
@Suite("Connection with a real broker", .serialized, .timeLimit(.minutes(2)))
struct ConnectionTests {
    @Test("a message arrives as it was sent", arguments: [QoS.atMostOnce, .atLeastOnce])
    func publishes(qos: QoS) async throws {
        try await withBroker { broker in
            try await withConnection(to: broker.url, subscribing: ["a/+"]) { connection, inbox in
                let payload = Data((0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7) })
                try await connection.publish(Message(topic: "a/b", payload: payload, qos: qos))
                try await connection.publish(Message(topic: "a/c", payload: Data(), qos: qos))
                #expect(try await eventually { inbox.count == 2 })
                #expect(
                    inbox.messages == [
                        Message(topic: "a/b", payload: payload, qos: qos),
                        Message(topic: "a/c", payload: Data(), qos: qos),
                    ])
                try await connection.unsubscribe(["a/+"])
                try await connection.subscribe(["other"], qos: .atLeastOnce)
                try await connection.publish(text("a/b", "nobody listens"))
                try await connection.publish(text("other", "heard"))
                #expect(try await eventually { inbox.count == 3 })
                #expect(inbox.texts.last == "heard")
            }
        }
    }

    @Test("a retained message waits for who subscribes later, and says that it was retained")
    func retained() async throws {
        try await withBroker { broker in
            try await withConnection(to: broker.url) { connection, inbox in
                try await connection.publish(text("state", "kept", retained: true))
                try await connection.subscribe(["state"], qos: .atLeastOnce)
                #expect(try await eventually { inbox.messages == [text("state", "kept", retained: true)] })
                try await connection.publish(text("state", "news", retained: true))
                #expect(try await eventually { inbox.messages.last == text("state", "news") })
            }
        }
    }

    @Test("20,000 messages arrive, all of them, in order")
    func order() async throws {
        try await withBroker { broker in
            try await withConnection(to: broker.url, subscribing: ["n"]) { _, inbox in
                try await withConnection(to: broker.url) { connection, _ in
                    for number in 0..<20_000 {
                        try await connection.publish(
                            text("n", "\(number)", qos: number % 2 == 0 ? .atMostOnce : .atLeastOnce))
                    }
                }
                #expect(try await eventually { inbox.count >= 20_000 })
                #expect(inbox.texts == (0..<20_000).map { "\($0)" })
            }
        }
    }

    @Test("publishes from many tasks at once each return", arguments: [QoS.atMostOnce, .atLeastOnce])
    func concurrent(qos: QoS) async throws {
        try await withBroker { broker in
            try await withConnection(to: broker.url, subscribing: ["n"]) { connection, inbox in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<15_000 {
                        group.addTask { try await connection.publish(text("n", "\(number)", qos: qos)) }
                    }
                    try await group.waitForAll()
                }
                #expect(try await eventually { inbox.count == 15_000 })
                #expect(Set(inbox.texts).count == 15_000)
                #expect(connection.droppedMessages == 0)
            }
        }
    }

    @Test("what may not be published or subscribed to is refused before it is sent")
    func invalid() async throws {
        try await withBroker { broker in
            try await withConnection(to: broker.url) { connection, inbox in
                for topic in ["", "a/+", "#", "a\u{0}", String(repeating: "x", count: 513)] {
                    await #expect(throws: MessagingError.self) { try await connection.publish(text(topic, "")) }
                }
                let large = Message(topic: "a", payload: Data(count: Message.largestPayload + 1))
                await #expect(throws: MessagingError.self) { try await connection.publish(large) }
                for filter in ["", "a/#/b", "a+", "a\u{0}"] {
                    await #expect(throws: MessagingError.self) {
                        try await connection.subscribe([filter], qos: .atLeastOnce)
                    }
                }
                #expect(connection.isConnected && inbox.disconnects.isEmpty)
            }
        }
    }

    @Test("an incoming message whose topic is too long is dropped and counted, and the next one arrives")
    func longTopic() async throws {
        try await withBroker { broker in
            try await withConnection(to: broker.url, subscribing: ["#"], qos: .atMostOnce) { connection, inbox in
                let raw = try TCP.connect(to: broker.port)
                defer { close(raw) }
                let connect: [UInt8] = [0x10, 15, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60, 0, 3] + Array("raw".utf8)
                // PUBLISH at QoS 0 with a topic of 600 bytes and an empty payload; its length 602 takes two bytes.
                let publish = [0x30, 0xda, 0x04, 0x02, 0x58] + [UInt8](repeating: UInt8(ascii: "x"), count: 600)
                #expect(send(raw, connect + publish, connect.count + publish.count, 0) == connect.count + publish.count)
                #expect(try await eventually { connection.droppedMessages == 1 })
                try await connection.publish(text("a", "next"))
                #expect(try await eventually { inbox.texts == ["next"] })
            }
        }
    }

    @Test("an incoming message that is too large is dropped and counted, the largest allowed and the next one arrive")
    func largePayload() async throws {
        try await withBroker { broker in
            let relay = try Relay(to: broker.port)
            try await withConnection(to: "mqtt://127.0.0.1:\(relay.port)", subscribing: ["a"]) { connection, inbox in
                relay.inject(Self.publish(topic: "a", payload: Message.largestPayload + 1))
                relay.inject(Self.publish(topic: "a", payload: Message.largestPayload))
                #expect(try await eventually { connection.droppedMessages == 1 && inbox.count == 1 })
                #expect(inbox.messages.first?.payload.count == Message.largestPayload)
                try await connection.publish(text("a", "next"))
                #expect(try await eventually { inbox.texts.last == "next" })
                #expect(inbox.connects == 1)
            }
            try await relay.close()
        }
    }

    /// A PUBLISH of MQTT 5 at QoS 0 without properties.
    private static func publish(topic: String, payload: Int) -> [UInt8] {
        var packet: [UInt8] = [0x30]
        var length = 2 + topic.utf8.count + 1 + payload
        repeat {
            packet.append(UInt8(length % 128) | (length >= 128 ? 0x80 : 0))
            length /= 128
        } while length > 0
        packet += [0, UInt8(topic.utf8.count)] + Array(topic.utf8) + [0]
        return packet + [UInt8](repeating: 7, count: payload)
    }

    @Test("a filter that the broker refuses makes subscribe throw")
    func refusedFilter() async throws {
        try await withBroker { broker in
            let relay = try Relay(to: broker.port)
            try await withConnection(to: "mqtt://127.0.0.1:\(relay.port)") { connection, _ in
                try await connection.subscribe(["a"], qos: .atLeastOnce)
                relay.refuseSubscriptions()
                await #expect {
                    try await connection.subscribe(["b", "c"], qos: .atLeastOnce)
                } throws: {
                    ($0 as? MessagingError)?.code == .refused && "\($0)".contains("c")
                }
            }
            try await relay.close()
        }
    }

    @Test("the client's farewell is published before it leaves, and no will is sent")
    func farewell() async throws {
        try await withBroker { broker in
            try await withConnection(to: broker.url, subscribing: ["#"]) { _, inbox in
                try await withConnection(to: broker.url, will: { text("will", "dead") }) { connection, _ in
                    await connection.close(farewell: [text("bye", "1"), text("bye", "2")])
                    await #expect(throws: MessagingError.self) { try await connection.publish(text("a", "late")) }
                }
                try await withConnection(to: broker.url) { connection, _ in
                    try await connection.publish(text("end", "end"))
                }
                #expect(try await eventually { inbox.count >= 3 })
                #expect(inbox.texts == ["1", "2", "end"])
            }
        }
    }

    @Test("closing answers everybody, also when more wait than MQTT has message ids and the broker says nothing")
    func closesWithManyWaiting() async throws {
        try await withBroker { broker in
            try await withConnection(to: broker.url) { connection, _ in
                try broker.freeze()
                let count = 80_000
                let asked = Counter()
                let codes = try await withThrowingTaskGroup(of: MessagingError.Code?.self) { group in
                    for _ in 0..<count {
                        group.addTask {
                            asked.next()
                            do throws(MessagingError) {
                                try await connection.publish(text("a", ""))
                                return nil
                            } catch { return error.code }
                        }
                    }
                    #expect(try await eventually { asked.count == count })
                    await connection.close()
                    var codes: [MessagingError.Code?] = []
                    for try await code in group { codes.append(code) }
                    return codes
                }
                #expect(codes.count == count)
                #expect(codes.allSatisfy { $0 == .connectionLost || $0 == .notConnected })
            }
        }
    }

    @Test("who is behind makes the broker wait: nothing is dropped, and all of it comes in order")
    func backPressure() async throws {
        try await withBroker { broker in
            guard let address = BrokerAddress(broker.url) else { throw MessagingError(.invalid, broker.url) }
            let slow = Connection(
                Connection.Configuration(
                    broker: address, clientID: "slow", keepAlive: .seconds(300), room: Connection.Room(messages: 50)),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            async let running: Void = slow.run()
            #expect(try await eventually { slow.isConnected })
            try await slow.subscribe(["a"], qos: .atLeastOnce)
            // More than the sockets between the two take.
            let padding = String(repeating: "x", count: 20_000)
            try await withConnection(to: broker.url) { fast, _ in
                for number in 0..<1000 { try await fast.publish(text("a", "\(number) \(padding)")) }
            }
            #expect(try await eventually { slow.overflowedMessages == 1 })
            let inbox = Inbox()
            async let consuming: Void = inbox.consume(slow, subscribing: [], qos: .atLeastOnce)
            #expect(try await eventually { inbox.count == 1000 }, "\(inbox.count)")
            #expect(inbox.texts == (0..<1000).map { "\($0) \(padding)" })
            #expect(slow.droppedMessages == 0)
            #expect(slow.overflowedMessages > 1)
            await slow.close()
            _ = await (running, consuming)
        }
    }

    @Test("closing leaves no thread and no descriptor behind")
    func leavesNothing() async throws {
        try await withBroker { broker in
            #expect(try await eventually { try Self.loopThreads() == 0 })
            // The first one brings what stays: the library, the pool's threads.
            try await withConnection(to: broker.url) { _, _ in }
            let descriptors = try Self.entries("/proc/self/fd")
            for _ in 0..<20 {
                try await withConnection(to: broker.url, subscribing: ["a"]) { connection, _ in
                    try await connection.publish(text("a", "b"))
                    #expect(try Self.loopThreads() == 1)
                }
            }
            #expect(try await eventually { try Self.loopThreads() == 0 })
            #expect(try Self.entries("/proc/self/fd") <= descriptors)
        }
    }

    @Test("it can be closed before it ran, while it cannot connect, and twice; a cancelled run ends")
    func closes() async throws {
        let nowhere = BrokerAddress(host: "127.0.0.1", port: try FreePort.next())
        var logger = Logger(label: "test")
        logger.logLevel = .error
        let configuration = Connection.Configuration(broker: nowhere, clientID: "c")
        let unused = Connection(configuration, logger: logger)
        await unused.close()
        await unused.run()
        for await event in unused.events { Issue.record("\(event)") }

        let trying = Connection(configuration, logger: logger)
        async let running: Void = trying.run()
        var events = trying.events.makeAsyncIterator()
        var reason = ""
        if case .disconnected(let why) = await events.next() { reason = why }
        #expect(reason.contains("refused"))
        await #expect { try await trying.publish(text("a", "b")) } throws: {
            ($0 as? MessagingError)?.code == .notConnected
        }
        await trying.close()
        await trying.close()
        await running

        let cancelled = Connection(configuration, logger: logger)
        let task = Task { await cancelled.run() }
        var others = cancelled.events.makeAsyncIterator()
        _ = await others.next()
        task.cancel()
        await task.value
        #expect(try await eventually { try Self.loopThreads() == 0 })
    }

    @Test("it works in a process that has more than 1,024 descriptors open")
    func manyDescriptors() async throws {
        try await withOpenFiles(2000) {
            try await withBroker { broker in
                let opened = (0..<1200).map { _ in open("/dev/null", O_RDONLY | O_CLOEXEC) }
                defer { for descriptor in opened { close(descriptor) } }
                try #require(opened.contains { $0 > 1100 })
                try await withConnection(to: broker.url, subscribing: ["a"]) { connection, inbox in
                    try await connection.publish(text("a", "b"))
                    #expect(try await eventually { inbox.texts == ["b"] })
                }
            }
        }
    }

    static func entries(_ directory: String) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: directory).count
    }

    /// Threads of connections, by the name that they give themselves.
    static func loopThreads() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count { task in
            (try? Data(contentsOf: URL(filePath: "/proc/self/task/\(task)/comm"))).map {
                $0.starts(with: Data("mqtt".utf8))
            } ?? false
        }
    }
}
