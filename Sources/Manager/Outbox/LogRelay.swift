import Fleet
import Foundation
import Messaging

/// Lines of machines' software for those who watch; the broker is asked for a machine's lines only while somebody does.
actor LogRelay {
    private let topics: Topics
    private let connection: Connection
    private var watchers: [String: Watched] = [:]
    private var next = 0

    private struct Watched {
        var topic: String
        var streams: [Int: AsyncStream<LogView>.Continuation] = [:]
    }

    /// So many messages a slow reader may lag behind; older ones are dropped, as lines at QoS 0 are.
    private static let backlog = 256

    init(topics: Topics, connection: Connection) {
        self.topics = topics
        self.connection = connection
    }

    func watch(machine: String, of group: String) async throws -> AsyncStream<LogView> {
        let topic = topics.log(group: group, machine: machine)
        if watchers[machine] == nil {
            watchers[machine] = Watched(topic: topic)
            do { try await connection.subscribe([topic], qos: .atMostOnce) } catch {
                if watchers[machine]?.streams.isEmpty == true { watchers[machine] = nil }
                throw Refusal(
                    code: .unavailable, message: "The broker can't be asked for the lines of \(machine) now: \(error)")
            }
        }
        next += 1
        let id = next
        let (stream, continuation) = AsyncStream<LogView>.makeStream(bufferingPolicy: .bufferingNewest(Self.backlog))
        watchers[machine, default: Watched(topic: topic)].streams[id] = continuation
        continuation.onTermination = { _ in Task { await self.leave(id, machine) } }
        return stream
    }

    private func leave(_ id: Int, _ machine: String) async {
        watchers[machine]?.streams[id] = nil
        guard let watched = watchers[machine], watched.streams.isEmpty else { return }
        watchers[machine] = nil
        try? await connection.unsubscribe([watched.topic])
    }

    /// Lines carry no MAC: they are shown, and nothing is decided by them.
    func receive(_ payload: Data, of machine: String) {
        guard let watched = watchers[machine], let lines = try? LogLines.decode(payload), lines.machine == machine
        else { return }
        let view = LogView(at: lines.at, stream: lines.stream.rawValue, lines: lines.lines.map(\.printable))
        for stream in watched.streams.values { stream.yield(view) }
    }

    /// A new connection knows no subscriptions.
    func subscribeAgain() async {
        let filters = watchers.values.map(\.topic)
        if !filters.isEmpty { try? await connection.subscribe(filters, qos: .atMostOnce) }
    }

    func close() {
        for watched in watchers.values { for stream in watched.streams.values { stream.finish() } }
    }
}

extension String {
    /// Without control characters, which could play tricks with the reader's terminal.
    fileprivate var printable: String {
        String(
            String.UnicodeScalarView(
                unicodeScalars.filter {
                    $0.value >= 0x20 && $0.value != 0x7F && !(0x80..<0xA0).contains($0.value) || $0 == "\t"
                }))
    }
}
