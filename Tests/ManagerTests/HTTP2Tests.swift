import Fleet
import Foundation
import HummingbirdCore
import NIOCore
import NIOEmbedded
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing

@testable import Manager

@Suite("HTTP/2", .timeLimit(.minutes(3)))
struct HTTP2Tests {
    /// A server of its own with TLS, which ends when `body` does, or when that asks it to.
    private func serving(
        _ limits: AccessLimits = AccessLimits(), beat: TimeSpan = .milliseconds(100),
        _ body: @escaping @Sendable (_ port: Int, _ trust: String, Site, ServiceGroup) async throws -> Void
    ) async throws {
        try await Site.with(streamBeat: beat, secure: true) { site in
            let issuer = try #require(await site.control.issuer)
            var configuration = site.api.configuration
            configuration.limits = limits
            configuration.tls = try RESTSecurity.configuration(
                site.configuration, issuer: issuer, logger: site.api.logger)
            let (ports, listening) = AsyncStream.makeStream(of: Int.self)
            let application = try buildApplication(
                operations: site.control, configuration: configuration, logger: site.api.logger
            ) { listening.yield($0) }
            let group = ServiceGroup(services: [application], logger: site.api.logger)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await group.run() }
                let port = try #require(await ports.first { _ in true })
                try await body(port, issuer.apiTrust, site, group)
                await group.triggerGracefulShutdown()
                try await tasks.waitForAll()
            }
        }
    }

    @Test("ALPN decides: HTTP/2 where it is offered, else HTTP/1.1, also without ALPN")
    func negotiation() async throws {
        try await serving { port, trust, _, _ in
            let question = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
            for (offered, chosen) in [
                (["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"), ([], nil),
                (["h3"], nil),
            ] {
                let isNew = chosen == "h2"
                let client = try await FrameClient.connect(
                    port, trust: trust, protocols: offered, greeting: isNew ? nil : question)
                if isNew { try await client.ask(1) }
                // HTTP/1.1 read as frames is something, and nothing that closes.
                #expect(
                    try await eventually { isNew ? client.status(of: 1) == "200" : client.bytes > 20 }, "\(offered)")
                #expect(client.negotiated == chosen)
                await client.close()
            }
        }
    }

    @Test("Twenty streams of events and ordinary requests share one connection")
    func sharing() async throws {
        try await serving { port, trust, site, _ in
            let client = try await FrameClient.connect(port, trust: trust)
            let streams = (0..<20).map { UInt32(2 * $0 + 1) }
            for (place, stream) in streams.enumerated() {
                try await client.follow(stream, token: site.token, place % 2 == 0 ? "/v1/events" : "/v1/watch")
            }
            #expect(try await eventually { streams.allSatisfy { client.status(of: $0) == "200" } })
            try await site.control.setSecret("one", to: "x", by: Site.user)
            #expect(try await eventually { streams.allSatisfy { client.text(of: $0).contains("secret.set") } })
            try await client.ask(101, "GET", "/v1/groups", [("authorization", "Bearer \(site.token)")])
            #expect(try await eventually { client.hasEnded(101) })
            #expect(client.status(of: 101) == "200" && client.text(of: 101) == #"{"items":[]}"#)
            #expect(streams.allSatisfy { !client.hasEnded($0) })
            await client.close()
        }
    }

    @Test("Streams of an address count like connections: one too many is refused and may be tried again")
    func places() async throws {
        try await serving(AccessLimits(connectionsOfOneAddress: 3)) { port, trust, site, _ in
            let client = try await FrameClient.connect(port, trust: trust, from: 2)
            for stream: UInt32 in [1, 3, 5] { try await client.follow(stream, token: site.token) }
            #expect(try await eventually { [1, 3, 5].allSatisfy { client.status(of: $0) == "200" } })
            try await client.follow(7, token: site.token)
            #expect(
                try await eventually { client.frames(of: .reset, on: 7).map(\.code) == [FrameClient.refused] })
            #expect(client.status(of: 7) == nil && !client.isClosed)

            let above = try TCP.connect(to: port, from: 2)
            defer { close(above) }
            #expect(await Wire.read(from: above) == "", "a further connection is turned away as well")
            let other = try await FrameClient.connect(port, trust: trust, from: 3)
            try await other.ask(1)
            #expect(try await eventually { other.status(of: 1) == "200" })
            await other.close()

            try await client.reset(3)
            var next: UInt32 = 9
            #expect(
                try await eventually {
                    next += 2
                    try await client.ask(next)
                    return try await eventually {
                        client.hasEnded(next) || !client.frames(of: .reset, on: next).isEmpty
                    } && client.status(of: next) == "200"
                }, "one that ends makes room")
            // Whoever goes without a word takes all his places along.
            await client.close()
            #expect(
                try await eventually {
                    let again = try await FrameClient.connect(port, trust: trust, from: 2)
                    for stream: UInt32 in [1, 3, 5] { try await again.follow(stream, token: site.token) }
                    let isIn = try await eventually {
                        [1, 3, 5].allSatisfy { again.status(of: $0) == "200" }
                            || again.isClosed || !again.frames(of: .reset, on: 5).isEmpty
                    }
                    defer { Task { await again.close() } }
                    return isIn && [1, 3, 5].allSatisfy { again.status(of: $0) == "200" }
                })
        }
    }

    /// Does this until the connection is closed, with one after the other until one has heard why: what is sent to a socket that was
    /// closed takes along what its sender had not read yet.
    @discardableResult
    private func ends(
        _ port: Int, _ trust: String, with code: UInt32, from host: Int = 1, greeting: String? = nil, _ what: String,
        _ flood: (FrameClient) async throws -> Void
    ) async throws -> [FrameClient.Frame] {
        var resets: [FrameClient.Frame] = []
        let isToldWhy = try await eventually {
            let client = try await FrameClient.connect(port, trust: trust, from: host, greeting: greeting)
            let isClosed = try await eventually(every: .zero) {
                if !client.isClosed { try? await flood(client) }
                return client.isClosed
            }
            resets = client.resets
            return isClosed && client.goodbyes.first == code
        }
        #expect(isToldWhy, "\(what)")
        return resets
    }

    @Test("Who has more streams than he was told is closed at once")
    func moreThanTold() async throws {
        try await serving(AccessLimits(streams: 4)) { port, trust, site, _ in
            let client = try await FrameClient.connect(port, trust: trust)
            #expect(try await eventually { client.frames(of: .settings).contains { $0.flags == 0 } })
            // What he was told holds once he has said that he heard it.
            try await client.send(.settings, flags: 1)
            for stream: UInt32 in [1, 3, 5, 7] { try await client.follow(stream, token: site.token) }
            #expect(try await eventually { [1, 3, 5, 7].allSatisfy { client.status(of: $0) == "200" } })
            #expect(!client.isClosed)
            try await client.follow(9, token: site.token)
            #expect(try await eventually { client.isClosed })
            #expect(client.goodbyes.first == 1 && client.status(of: 9) == nil)
        }
    }

    @Test("Who goes on with streams that are refused is closed after some")
    func goesOn() async throws {
        try await serving(AccessLimits(connectionsOfOneAddress: 2, resets: 20)) { port, trust, site, _ in
            var stream: UInt32 = 1
            let resets = try await ends(port, trust, with: FrameClient.calm, from: 2, "crowd") { client in
                try await client.follow(stream, token: site.token)
                stream += 2
            }
            #expect(resets.count { $0.code == FrameClient.refused } >= 20)
        }
    }

    @Test("A body that drips ends its stream, and no other on the connection")
    func drips() async throws {
        var limits = AccessLimits(grace: .milliseconds(300), bytesPerSecond: 1_000_000)
        limits.linger = .milliseconds(300)
        try await serving(limits) { port, trust, site, _ in
            let client = try await FrameClient.connect(port, trust: trust)
            try await client.follow(1, token: site.token)
            let token = ("authorization", "Bearer \(site.token)")
            let requests: [(UInt32, String, String, [(String, String)])] = [
                (3, "POST", "/v1/plan", [token, ("content-type", "text/plain")]),
                (5, "PUT", "/v1/software/a/1", [token]),
                // Answered at once, and dripping on.
                (7, "POST", "/v1/plan", []),
                (9, "GET", "/healthz", []),
            ]
            for (stream, method, path, fields) in requests {
                try await client.ask(stream, method, path, fields, isWhole: false)
                #expect(
                    try await eventually {
                        try await client.send(.data, stream: stream, payload: [120])
                        return !client.frames(of: .reset, on: stream).isEmpty
                    }, "\(path)")
            }
            #expect(try await eventually { site.uploads.isEmpty })
            let before = client.text(of: 1).count
            #expect(try await eventually { client.text(of: 1).count > before }, "the stream of events beats on")
            #expect(!client.isClosed)
            await client.close()
        }
    }

    @Test("Streams that are opened and given up without end close their connection and hurt no other")
    func rapidResets() async throws {
        try await serving { port, trust, site, _ in
            let other = try await FrameClient.connect(port, trust: trust)
            try await other.follow(1, token: site.token)
            var stream: UInt32 = 1
            try await ends(port, trust, with: FrameClient.calm, "resets") { client in
                for _ in 0..<50 {
                    try await client.ask(stream, "GET", "/v1/groups", [("authorization", "Bearer \(site.token)")])
                    try await client.reset(stream)
                    stream += 2
                }
            }
            let before = other.text(of: 1).count
            #expect(try await eventually { other.text(of: 1).count > before })
            try await other.ask(3)
            #expect(try await eventually { other.status(of: 3) == "200" })
            await other.close()
        }
    }

    @Test("Floods of PING, SETTINGS and CONTINUATION, and what is no HTTP/2 at all, close their connection")
    func floods() async throws {
        try await serving { port, trust, _, _ in
            try await ends(port, trust, with: FrameClient.calm, "ping") {
                try await $0.send(.ping, payload: [0, 0, 0, 0, 0, 0, 0, 0])
            }
            try await ends(port, trust, with: FrameClient.calm, "settings") { try await $0.send(.settings) }
            try await ends(port, trust, with: FrameClient.calm, "continuation") { client in
                try await client.send(.headers, flags: 1, stream: 1, payload: FrameClient.head("GET", "/healthz"))
                for _ in 0..<10 { try await client.send(.continuation, stream: 1, payload: [0, 1, 97, 1, 98]) }
            }
            try await ends(port, trust, with: 1, greeting: "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "no HTTP/2") {
                _ in
            }
        }
    }

    @Test("A client that opens no window, or takes nothing from the network, is let go after the idle time")
    func takesNothing() async throws {
        let limits = AccessLimits(connectionsOfOneAddress: 100, idle: .milliseconds(400))
        try await serving(limits) { port, trust, site, _ in
            let isCut = try await eventually {
                // A busy machine may be late with its requests: then once more.
                let closed = try await FrameClient.connect(port, trust: trust, from: 2, window: 0)
                try await closed.follow(1, token: site.token)
                try await closed.ask(3, "GET", "/v1/groups", [("authorization", "Bearer \(site.token)")])
                let isOver = try await eventually { closed.isClosed }
                return isOver && closed.status(of: 3) == "200" && closed.text(of: 3) == ""
                    && closed.goodbyes.first == 0
                    && [1, 3].allSatisfy { closed.frames(of: .reset, on: $0).count == 1 }
            }
            #expect(isCut)

            let deaf = try await FrameClient.connect(port, trust: trust, from: 2)
            try? await deaf.open(1 << 30)
            try await deaf.stopReading()
            // More than lies between two sockets.
            for stream in 0..<UInt32(limits.streams) { try? await deaf.ask(2 * stream + 1, "GET", "/openapi.json") }
            #expect(
                try await eventually {
                    let other = try await FrameClient.connect(port, trust: trust, from: 2)
                    try? await other.ask(1)
                    let isKnown = try await eventually { other.status(of: 1) != nil || other.isClosed }
                    await other.close()
                    return isKnown && other.status(of: 1) == "200"
                }, "its places are free again")
        }
    }

    @Test("A silent handshake and a connection without a stream end when their time is up, one with a stream does not")
    func unused() async throws {
        try await serving(AccessLimits(grace: .milliseconds(300))) { port, _, _, _ in
            let silent = try TCP.connect(to: port)
            defer { close(silent) }
            #expect(await Wire.read(from: silent) == "")
        }
        try await serving(AccessLimits(idle: .seconds(1))) { port, trust, site, _ in
            for greeting in [nil, ""] {
                let isLetGo = try await eventually {
                    let client = try await FrameClient.connect(port, trust: trust, greeting: greeting)
                    let isClosed = try await eventually { client.isClosed }
                    return isClosed && client.goodbyes.first == 0
                }
                #expect(isLetGo)
            }
            let lives = try await eventually {
                // A busy machine may come too late with its request: then once more.
                let client = try await FrameClient.connect(port, trust: trust)
                try await client.follow(1, token: site.token)
                // So many beats take longer than that.
                let isOver = try await eventually { client.text(of: 1).count > 150 || client.isClosed }
                defer { Task { await client.close() } }
                return isOver && !client.isClosed
            }
            #expect(lives)
        }
    }

    @Test("The server ends with streams open and says good-bye")
    func ending() async throws {
        try await serving { port, trust, site, group in
            let client = try await FrameClient.connect(port, trust: trust)
            try await client.follow(1, token: site.token)
            try await client.follow(3, token: site.token)
            #expect(try await eventually { client.status(of: 1) == "200" && client.status(of: 3) == "200" })
            await group.triggerGracefulShutdown()
            #expect(try await eventually { client.isClosed })
            #expect(client.goodbyes.first == 0 && client.hasEnded(1) && client.hasEnded(3))
        }
    }

    @Test("The server ends also where nobody hears its good-bye, and where a handshake has not ended")
    func endingUnheard() async throws {
        let silent = Mutex<Int32>(-1)
        defer { close(silent.withLock(\.self)) }
        try await serving(AccessLimits(grace: .hours(1))) { port, trust, site, _ in
            let descriptor = try TCP.connect(to: port)
            silent.withLock { $0 = descriptor }
            let client = try await FrameClient.connect(port, trust: trust)
            try await client.follow(1, token: site.token)
            #expect(try await eventually { client.status(of: 1) == "200" })
            try await client.stopReading()
            // The server ends while both are there.
        }
    }

    @Test("A stream that nobody comes to serve is closed, and the process lives on")
    func unserved() async throws {
        let channel = NIOAsyncTestingChannel()
        try await channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1)).get()
        try await channel.testingEventLoop.executeInContext {
            _ = UnservedChannel(try HTTP1Channel.Value(wrappingChannelSynchronously: channel))
        }
        try await channel.closeFuture.get()
    }
}
