import Fleet
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import Records
import Synchronization
import TestSupport
import Testing

@testable import Manager

@Suite("The webhook")
struct WebhookTests {
    /// A receiver over a real port that does as it is told.
    final class Receiver: Sendable {
        enum Mood: Sendable { case takes, fails(HTTPResponse.Status), hangs }
        struct Delivery: Sendable {
            var id: String
            var stamp: String
            var signature: String
            var body: Data
        }
        private let state = Mutex<(mood: Mood, came: Int, taken: [Delivery])>((.takes, 0, []))

        func be(_ mood: Mood) { state.withLock { $0.mood = mood } }
        private var hangs: Bool { state.withLock { if case .hangs = $0.mood { true } else { false } } }
        var came: Int { state.withLock { $0.came } }
        /// At least once means that one may come twice, where its answer was late: it is known by its id.
        var taken: [Delivery] {
            var seen: Set<String> = []
            return state.withLock { $0.taken }.filter { seen.insert($0.id).inserted }
        }

        var router: Router<BasicRequestContext> {
            let router = Router()
            router.post("hook") { request, _ -> HTTPResponse.Status in
                func header(_ name: String) -> String { HTTPField.Name(name).flatMap { request.headers[$0] } ?? "" }
                let body = try await request.body.collect(upTo: 1 << 20)
                let mood = self.state.withLock { state in
                    state.came += 1
                    return state.mood
                }
                switch mood {
                case .takes: break
                case .fails(let status): return status
                case .hangs:
                    // Until the test lets it go, long after whoever asked has gone.
                    while self.hangs { try await Task.sleep(for: .milliseconds(10)) }
                    return .serviceUnavailable
                }
                let delivery = Delivery(
                    id: header("Trunkline-Delivery"), stamp: header("Trunkline-Timestamp"),
                    signature: header("Trunkline-Signature"), body: Data(body.readableBytesView))
                self.state.withLock { $0.taken.append(delivery) }
                return .noContent
            }
            return router
        }
    }

    private static let secret = Data("sixteen bytes or more".utf8)

    private static func settings(_ port: Int) -> WebhookSettings {
        var settings = WebhookSettings(url: "http://127.0.0.1:\(port)/hook", secret: secret)
        settings.patience.firstPause = .milliseconds(10)
        settings.patience.longestPause = .milliseconds(50)
        settings.timeout = .seconds(2)
        return settings
    }

    private static func say(_ texts: String..., to site: Site, at: Timestamp = .wall) throws {
        try site.notify(texts, at: at)
    }

    /// A site, and a webhook for as long as `body` runs.
    private static func running(
        _ settings: WebhookSettings, in site: Site, _ body: () async throws -> Void
    ) async throws {
        try await site.notifying(Webhook(settings: settings, clock: .process), body)
    }

    private static func with(
        _ body: @escaping @Sendable (Site, Receiver, Int) async throws -> Void
    ) async throws {
        let receiver = Receiver()
        let application = Application(
            router: receiver.router, configuration: .init(address: .hostname("127.0.0.1", port: 0)))
        try await application.test(.live) { client in
            let port = try #require(client.port)
            try await Site.with { site in try await body(site, receiver, port) }
        }
    }

    private static func dead(_ site: Site) throws -> [EventEntry] {
        try site.control.records.events(after: 0, limit: 1000).filter { $0.kind == .notificationDead }
    }

    private static func messages(_ receiver: Receiver) throws -> [String] {
        try receiver.taken.map { try JSONDecoder().decode(EventEntry.self, from: $0.body).message }
    }

    @Test("brings each notification in order, signed over the time and the body; nothing from before it was set up")
    func delivers() async throws {
        try await Self.with { site, receiver, port in
            try Self.say("before", to: site)
            try await Self.running(Self.settings(port), in: site) {
                try Self.say("one", "two", to: site)
                try Self.say("three", to: site)
                #expect(try await eventually { receiver.taken.count == 3 })
                #expect(try Self.messages(receiver) == ["one", "two", "three"])
                for delivery in receiver.taken {
                    let code = Webhook.signature(of: delivery.body, at: delivery.stamp, under: Self.secret)
                    #expect(delivery.signature == code)
                    #expect(
                        code
                            != Webhook.signature(of: delivery.body + Data([32]), at: delivery.stamp, under: Self.secret)
                    )
                    #expect(code != Webhook.signature(of: delivery.body, at: delivery.stamp + "1", under: Self.secret))
                    #expect(abs((Int64(delivery.stamp) ?? 0) - Timestamp.wall.milliseconds / 1000) < 60)
                    #expect(try JSONDecoder().decode(EventEntry.self, from: delivery.body).id == Int64(delivery.id))
                }
            }
        }
    }

    @Test("the signature is the one that others compute", arguments: [("key", "1700000000", "{\"a\":1}")])
    func signature(secret: String, stamp: String, body: String) throws {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        #expect(
            Webhook.signature(of: Data(body.utf8), at: stamp, under: Data(secret.utf8))
                == "v1=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03")
    }

    @Test("a receiver that fails, hangs and comes back gets everything, in order; metrics say since when it failed")
    func retries() async throws {
        try await Self.with { site, receiver, port in
            try await Self.running(Self.settings(port), in: site) {
                receiver.be(.fails(.serviceUnavailable))
                try Self.say("one", "two", to: site)
                #expect(try await eventually { receiver.came >= 3 })
                #expect(site.control.queries.counters.notificationsFailingSince(by: "webhook") != nil)
                receiver.be(.hangs)
                let before = receiver.came
                #expect(try await eventually { receiver.came >= before + 2 })
                #expect(receiver.taken.isEmpty)
                receiver.be(.takes)
                #expect(try await eventually { receiver.taken.count == 2 })
                #expect(try Self.messages(receiver) == ["one", "two"])
                #expect(
                    try await eventually {
                        site.control.queries.counters.notificationsFailingSince(by: "webhook") == nil
                    })
                // The receiver has it before the sender knows.
                #expect(
                    try await eventually {
                        await site.control.metricsText(within: nil).contains(
                            "trunkline_notifications_delivered_total{by=\"webhook\"} 2\n")
                    })
                let metrics = await site.control.metricsText(within: nil)
                #expect(metrics.contains("trunkline_notifications_failing_seconds{by=\"webhook\"} 0\n"))
                #expect(!metrics.contains("trunkline_notifications_failures_total{by=\"webhook\"} 0\n"))
            }
        }
    }

    @Test("what waits outlives the manager, and what was delivered is not sent again")
    func restart() async throws {
        try await Self.with { site, receiver, port in
            try await Self.running(Self.settings(port), in: site) {
                try Self.say("one", to: site)
                #expect(
                    try await eventually {
                        try Int64(receiver.taken.first?.id ?? "")
                            == site.control.records.notificationPlace(of: "webhook")
                    })
                receiver.be(.fails(.internalServerError))
                try Self.say("two", to: site)
                let before = receiver.came
                #expect(try await eventually { receiver.came > before })
            }
            receiver.be(.takes)
            try await Self.running(Self.settings(port), in: site) {
                try Self.say("three", to: site)
                #expect(try await eventually { receiver.taken.count == 3 })
                #expect(try Self.messages(receiver) == ["one", "two", "three"])
            }
        }
    }

    @Test("what the receiver calls wrong is given up after some tries, with an event, and holds up nothing else")
    func refused() async throws {
        try await Self.with { site, receiver, port in
            try await Self.running(Self.settings(port), in: site) {
                receiver.be(.fails(.badRequest))
                try Self.say("one", to: site)
                #expect(try await eventually { try Self.dead(site).count == 1 })
                #expect(receiver.came == 5)
                #expect(try Self.dead(site).first?.message.contains("400") == true)
                receiver.be(.takes)
                try Self.say("two", to: site)
                #expect(try await eventually { receiver.taken.count == 1 })
                #expect(try Self.messages(receiver) == ["two"])
                #expect(
                    await site.control.metricsText(within: nil).contains(
                        "trunkline_notifications_dead_total{by=\"webhook\"} 1\n"))
            }
        }
    }

    @Test("what is too old is given up where nobody is there, and of too many that wait the oldest, in one event each")
    func bounds() async throws {
        try await Self.with { site, receiver, port in
            receiver.be(.fails(.serviceUnavailable))
            var settings = Self.settings(port)
            settings.patience.mostWaiting = 3
            try await Self.running(settings, in: site) {
                try Self.say("old 1", "old 2", to: site, at: .wall - .hours(25))
                #expect(try await eventually { try Self.dead(site).map { $0.facts["count"] } == ["2"] })
                try Self.say("1", "2", "3", "4", "5", to: site)
                #expect(try await eventually { try Self.dead(site).count == 3 })
                receiver.be(.takes)
                #expect(try await eventually { receiver.taken.count == 3 })
                #expect(try Self.messages(receiver) == ["3", "4", "5"])
            }
        }
    }

    @Test("its address must not tell the way who is notified of what, and its secret is for its owner alone")
    func settings() async throws {
        try await Site.with { site in
            let file = site.configuration.path("secret")
            try Data("0123456789abcdef\n".utf8).write(to: URL(filePath: file))
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
            let good = try WebhookSettings(url: "https://a.example/x", secretFile: file)
            #expect(good.secret == Data("0123456789abcdef".utf8))
            #expect(throws: Never.self) { _ = try WebhookSettings(url: "http://127.0.0.1:1/x", secretFile: file) }
            for url in ["http://a.example/x", "ftp://a.example", "a.example", "https://u:p@a.example/", ""] {
                #expect(throws: StartError.self) { _ = try WebhookSettings(url: url, secretFile: file) }
            }
            try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: file)
            #expect(throws: StartError.self) { _ = try WebhookSettings(url: "https://a.example", secretFile: file) }
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
            try Data("short\n".utf8).write(to: URL(filePath: file))
            #expect(throws: StartError.self) { _ = try WebhookSettings(url: "https://a.example", secretFile: file) }
            let missing = file + "x"
            #expect(throws: StartError.self) { _ = try WebhookSettings(url: "https://a.example", secretFile: missing) }
        }
    }
}

extension Site {
    /// Notifications as a rule makes them, among events that are none.
    func notify(_ texts: [String], at: Timestamp = .wall) throws {
        func event(_ kind: EventEntry.Kind, _ text: String) -> Records.Change {
            .event(EventEntry(at: at, group: "edge", kind: kind, actor: "rule tell", message: text))
        }
        // What is not for people elsewhere stays here.
        let other = event(.ruleActed, "no")
        let events = try control.records.commit([other] + texts.map { event(.ruleNotified, $0) } + [other])
        control.queries.signal.announce(try #require(events.last).id)
    }

    /// Has notifications leave by this channel for as long as `body` runs.
    func notifying(
        _ channel: any NotificationChannel, logger: Logger? = nil, _ body: () async throws -> Void
    ) async throws {
        let notifier = Notifier(
            channel: channel, records: control.records, signal: control.queries.signal,
            counters: control.queries.counters, clock: .process, logger: logger ?? api.logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await notifier.run() }
            // A channel that is new begins with what happens from then on.
            #expect(try await eventually { try control.records.notificationPlace(of: channel.name) != nil })
            try await body()
            group.cancelAll()
        }
    }
}
