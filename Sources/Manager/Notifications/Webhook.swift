import AsyncHTTPClient
import Crypto
import Fleet
import Foundation
import NIOCore
import NIOHTTP1

/// Notifications by HTTP, one at a time. The receiver knows a repetition by `Trunkline-Delivery`, the event's id, and the sender by
/// `Trunkline-Signature`: `v1=` and the HMAC-SHA256, hex, of `Trunkline-Timestamp`, a dot and the body.
struct Webhook: NotificationChannel {
    let name = "webhook"
    let words = "the webhook"
    let settings: WebhookSettings
    let clock: ManagerClock
    private let http: HTTPClient
    var patience: NotificationPatience { settings.patience }

    init(settings: WebhookSettings, clock: ManagerClock) {
        self.settings = settings
        self.clock = clock
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .milliseconds(settings.timeout.milliseconds)
        configuration.connectionPool.retryConnectionEstablishment = false
        http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    func close() async { try? await http.shutdown() }

    func send(_ events: [EventEntry]) async -> NotificationOutcome {
        guard let event = events.first else { return .delivered }
        guard let body = event.json else { return .refused("it can't be written as JSON") }
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
}

extension EventEntry {
    /// As it leaves; nil where it can't be written so.
    var json: Data? { (try? JSONText.bytes(of: self)).map { Data($0) } }
}
