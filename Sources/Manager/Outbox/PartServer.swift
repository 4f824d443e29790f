import Fleet
import Foundation
import Logging
import Messaging
import Monitor
import Sealing

/// Performs what `Delivery` decides: reads parts of bundles, encrypts them, publishes them, and tells it what came of it.
actor PartServer {
    private struct Open {
        var delivery: Delivery
        var source: PartSource
        var file: FileHandle
        var seal: PartSeal
    }

    private let configuration: ManagerConfiguration
    private let topics: Topics
    private let connection: Connection
    private let counters: Counters
    private let logger: Logger
    private var streams: [PartSource.Stream: Open] = [:]
    /// Which stream each machine receives.
    private var receivers: [String: PartSource.Stream] = [:]
    private var timer: DeadlineTimer?
    private let wake: AsyncStream<Void>
    private let wakeContinuation: AsyncStream<Void>.Continuation
    /// What came of parts that were handed to the broker. Bounded by `mostInFlight`.
    private let published: AsyncStream<Published>
    private let publishedContinuation: AsyncStream<Published>.Continuation
    /// Parts to publish, in order of decision. Bounded by the windows of the open streams.
    private var waiting: [(stream: PartSource.Stream, part: Int)] = []
    /// How many of those have been taken out at the front.
    private var taken = 0
    /// Bytes that the broker has not acknowledged, of all streams.
    private var inFlight = 0

    /// Of all streams together; whatever else is published on the same connection waits for no more than this.
    static let mostInFlight = 8 << 20

    private struct Published {
        var stream: PartSource.Stream
        var part: Int
        var bytes: Int
        var error: (any Error)?
    }

    init(configuration: ManagerConfiguration, connection: Connection, counters: Counters, logger: Logger) {
        self.configuration = configuration
        self.connection = connection
        self.counters = counters
        self.logger = logger
        topics = Topics(root: configuration.root)
        (wake, wakeContinuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (published, publishedContinuation) = AsyncStream.makeStream()
    }

    /// Serves until cancelled.
    func run() async {
        timer = DeadlineTimer(label: "trunkline.delivery") { [wakeContinuation] in wakeContinuation.yield() }
        let (wake, published) = (wake, published)
        await withDiscardingTaskGroup { group in
            group.addTask { for await _ in wake { await self.due() } }
            group.addTask { for await part in published { await self.ended(part) } }
        }
        timer?.set(nil)
    }

    /// A machine said which parts it has; false where its stream is not open, and `wants(_:_:)` is to say where parts come from.
    func wants(_ status: Status, of stream: PartSource.Stream) -> Bool {
        guard let open = streams[stream] else { return false }
        wants(open.source, status)
        return true
    }

    /// A machine said which parts it has.
    func wants(_ source: PartSource, _ status: Status) {
        guard let receiving = status.receiving else { return absent(status.machine) }
        if receivers[status.machine] != source.stream { absent(status.machine) }
        do {
            if streams[source.stream] == nil { streams[source.stream] = try self.open(source) }
            receivers[status.machine] = source.stream
            // In place, here and below: a copy of all receivers for each of their words would cost more than the rest.
            let steps = streams[source.stream]?.delivery.wants(status.machine, have: receiving.have, at: .now)
            take(steps ?? [], for: source.stream)
        } catch {
            logger.error("a bundle can't be read", metadata: ["digest": "\(source.digest)", "error": "\(error)"])
        }
        settle()
    }

    /// A machine no longer receives: it has all, went away, or was ordered something else.
    func absent(_ machine: String) {
        guard let stream = receivers.removeValue(forKey: machine),
            let steps = streams[stream]?.delivery.left(machine, at: .now)
        else { return }
        take(steps, for: stream)
        settle()
    }

    func isReceiving(_ machine: String) -> Bool { receivers[machine] != nil }

    private func open(_ source: PartSource) throws -> Open {
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: configuration.bundle(source.digest)))
        return Open(
            delivery: Delivery(
                parts: source.parts, partSize: Control.partSize, bandwidth: source.bandwidth, at: .now),
            source: source, file: file, seal: PartSeal(key: source.key, digest: source.digest, count: source.parts))
    }

    private func due() {
        for stream in Array(streams.keys) { take(streams[stream]?.delivery.due(at: .now) ?? [], for: stream) }
        settle()
    }

    private func take(_ steps: [Delivery.Step], for stream: PartSource.Stream) {
        for case .publish(let part) in steps { waiting.append((stream, part)) }
        publishWaiting()
    }

    /// Hands over as many as may be in flight, in the order of their decision: receivers take one that comes late for lost.
    private func publishWaiting() {
        while inFlight < Self.mostInFlight, taken < waiting.count {
            let next = waiting[taken]
            taken += 1
            publish(next.part, of: next.stream)
        }
        if taken > waiting.count / 2 {
            waiting.removeFirst(taken)
            taken = 0
        }
    }

    /// Drops streams without a receiver and sets the timer for the others.
    private func settle() {
        for (stream, open) in streams where open.delivery.isIdle {
            try? open.file.close()
            streams[stream] = nil
        }
        counters.delivering(streams.count)
        timer?.set(streams.values.compactMap(\.delivery.nextDeadline).min())
    }

    private func publish(_ part: Int, of stream: PartSource.Stream) {
        guard let message = message(part, of: stream) else { return }
        let bytes = message.payload.count
        inFlight += bytes
        connection.publish(message) { [publishedContinuation] result in
            var error: (any Error)?
            if case .failure(let failure) = result { error = failure }
            publishedContinuation.yield(Published(stream: stream, part: part, bytes: bytes, error: error))
        }
    }

    /// Nil where nobody wants it any more, or it cannot be read.
    private func message(_ part: Int, of stream: PartSource.Stream) -> Message? {
        guard let (file, size, seal) = streams[stream].map({ ($0.file, $0.source.size, $0.seal) }) else { return nil }
        do {
            let offset = part * Control.partSize
            try file.seek(toOffset: UInt64(offset))
            let wanted = min(Control.partSize, size - offset)
            guard let bytes = try file.read(upToCount: wanted), bytes.count == wanted else {
                throw StartError("the bundle is shorter than its record says")
            }
            let topic =
                stream.machine.map {
                    topics.machinePart(group: stream.group, machine: $0, digest: stream.digest, index: part)
                } ?? topics.part(group: stream.group, digest: stream.digest, index: part)
            return Message(
                topic: topic, payload: try seal.seal(bytes, index: part), qos: .atLeastOnce, retained: false)
        } catch {
            publishedContinuation.yield(Published(stream: stream, part: part, bytes: 0, error: error))
            return nil
        }
    }

    private func ended(_ ended: Published) {
        inFlight -= ended.bytes
        if let error = ended.error {
            counters.publishFailed()
            logger.debug("a part was not published", metadata: ["part": "\(ended.part)", "error": "\(error)"])
        } else {
            counters.partPublished(bytes: ended.bytes)
        }
        // Also where it failed: Delivery sees from the receivers' reports that the part is missing, and sends it again.
        take(streams[ended.stream]?.delivery.sent(part: ended.part, at: .now) ?? [], for: ended.stream)
        settle()
    }
}
