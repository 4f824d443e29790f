import AsyncHTTPClient
import Crypto
import Fleet
import Foundation
import Logging
import NIOCore
import NIOHTTP1
import OperatingSystem
import Records

/// Brings notifications to a receiver elsewhere: in their order, each at least once, one at a time.
///
/// The history is the queue, so what waits outlives the manager and costs nothing; what is kept is where it stands. The receiver knows a
/// repetition by `Trunkline-Delivery`, the event's id, and the sender by `Trunkline-Signature`: `v1=` and the HMAC-SHA256, hex, of
/// `Trunkline-Timestamp`, a dot and the body.
struct Webhook: Sendable {
    let settings: WebhookSettings
    let records: Records
    let signal: EventSignal
    let counters: Counters
    let clock: ManagerClock
    let logger: Logger
    private let lane = Workers(label: "trunkline.webhook", count: 1)

    init(
        settings: WebhookSettings, records: Records, signal: EventSignal, counters: Counters, clock: ManagerClock,
        logger: Logger
    ) {
        self.settings = settings
        self.records = records
        self.signal = signal
        self.counters = counters
        self.clock = clock
        self.logger = logger
    }

    private enum Outcome {
        case delivered
        /// Nobody there, or not now.
        case unreachable(String)
        /// The receiver says that it is wrong.
        case refused(String)
    }

    /// Until it is cancelled.
    func run() async {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .milliseconds(settings.timeout.milliseconds)
        configuration.connectionPool.retryConnectionEstablishment = false
        let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        await deliver(by: http)
        try? await http.shutdown()
    }

    private func deliver(by http: HTTPClient) async {
        var place = await begin()
        var (tries, isFailing) = (0, false)
        while !Task.isCancelled {
            // Read before the page: what is committed in between is found by the next round.
            let newest = signal.newest
            let after = place
            guard let found = await reading({ try $0.notifications(after: after, limit: settings.mostWaiting + 1) })
            else {
                guard await rest(settings.longestPause) else { return }
                continue
            }
            guard let first = found.entries.first else {
                place = max(place, found.lookedTo)
                if found.lookedTo < newest { continue }
                guard await signal.waitForNewer(than: max(place, newest)) else { return }
                continue
            }
            if found.entries.count > settings.mostWaiting {
                await giveUp([first], "more than \(settings.mostWaiting) wait", &place)
                continue
            }
            let outcome = await send(first, by: http)
            if case .delivered = outcome {
                if isFailing { logger.notice("the webhook takes notifications again") }
                (tries, isFailing) = (0, false)
                counters.notificationDelivered()
                place = first.id
                await commit([.webhook(after: place)])
                continue
            }
            tries += 1
            counters.notificationFailed(at: clock.now)
            let (reason, isRefused): (String, Bool) =
                switch outcome {
                case .refused(let reason): (reason, true)
                case .unreachable(let reason): (reason, false)
                case .delivered: ("", false)
                }
            // Once, not at each try.
            if !isFailing { logger.warning("the webhook takes no notification", metadata: ["reason": "\(reason)"]) }
            isFailing = true
            let old = found.entries.prefix { $0.at + settings.giveUpAfter <= clock.wall }
            if !old.isEmpty {
                await giveUp(Array(old), reason, &place)
                tries = 0
            } else if isRefused, tries >= settings.triesWhereRefused {
                await giveUp([first], reason, &place)
                tries = 0
            } else {
                guard await rest(settings.pause(after: tries)) else { return }
            }
        }
    }

    /// Where it stands; a webhook that is new begins with what happens from now on.
    private func begin() async -> Int64 {
        while !Task.isCancelled {
            if let known = await reading({ try $0.webhookPlace() }) {
                if let known { return known }
                let now = signal.newest
                await commit([.webhook(after: now)])
                return now
            }
            guard await rest(settings.longestPause) else { break }
        }
        return 0
    }

    private func send(_ event: EventEntry, by http: HTTPClient) async -> Outcome {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let body = try? encoder.encode(event) else { return .refused("it can't be written as JSON") }
        var request = HTTPClientRequest(url: settings.url)
        request.method = .POST
        let stamp = "\(clock.wall.milliseconds / 1000)"
        request.headers.add(name: "Content-Type", value: "application/json")
        request.headers.add(name: "User-Agent", value: "trunkline/\(Version.text)")
        request.headers.add(name: "Trunkline-Delivery", value: "\(event.id)")
        request.headers.add(name: "Trunkline-Timestamp", value: stamp)
        request.headers.add(
            name: "Trunkline-Signature", value: Self.signature(of: body, at: stamp, under: settings.secret))
        request.body = .bytes(ByteBuffer(bytes: body))
        do {
            let answer = try await http.execute(request, timeout: .milliseconds(settings.timeout.milliseconds))
            switch answer.status.code {
            case 200..<300: return .delivered
            case 408, 425, 429, 500...: return .unreachable("it answers with \(answer.status.code)")
            default: return .refused("it answers with \(answer.status.code)")
            }
        } catch {
            return .unreachable("\(error)".forPeople(atMost: 200))
        }
    }

    /// What a receiver compares with what it computes itself.
    static func signature(of body: Data, at stamp: String, under secret: Data) -> String {
        var code = HMAC<SHA256>(key: SymmetricKey(data: secret))
        code.update(data: Data("\(stamp).".utf8))
        code.update(data: body)
        return "v1=" + code.finalize().map { String(format: "%02x", $0) }.joined()
    }

    /// One event for all of them, which is seen where the webhook is not.
    private func giveUp(_ entries: [EventEntry], _ reason: String, _ place: inout Int64) async {
        guard let first = entries.first, let last = entries.last else { return }
        let what = entries.count == 1 ? "A notification was" : "\(entries.count) notifications were"
        let event = EventEntry(
            at: clock.wall, kind: .webhookDead, actor: "manager",
            message: "\(what) given up, the first of them event \(first.id) (\(first.message)): \(reason)",
            facts: ["first": "\(first.id)", "last": "\(last.id)", "count": "\(entries.count)", "reason": reason])
        counters.notificationsGivenUp(entries.count)
        place = last.id
        await commit([.event(event), .webhook(after: last.id)])
    }

    /// Where it can't be committed, it is sent once more after a restart: at least once.
    private func commit(_ changes: [Records.Change]) async {
        do {
            let events = try await lane.run { [records] in try records.commit(changes) }
            if let last = events.last { signal.announce(last.id) }
        } catch {
            logger.warning("where the webhook stands was not recorded", metadata: ["error": "\(error)"])
        }
    }

    private func reading<Value: Sendable>(_ body: @escaping @Sendable (Records) throws -> Value) async -> Value? {
        do { return try await lane.run { [records] in try body(records) } } catch {
            logger.warning("notifications can't be read", metadata: ["error": "\(error)"])
            return nil
        }
    }

    /// False where it is cancelled.
    private func rest(_ span: TimeSpan) async -> Bool { (try? await Task.sleep(for: span.duration)) != nil }
}
