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
    private let published: AsyncStream<(PartSource.Stream, Int)>
    private let publishedContinuation: AsyncStream<(PartSource.Stream, Int)>.Continuation
    /// Parts to publish, in order of decision. Bounded by the windows of the open streams.
    private let pending: AsyncStream<(PartSource.Stream, Int)>
    private let pendingContinuation: AsyncStream<(PartSource.Stream, Int)>.Continuation

    init(configuration: ManagerConfiguration, connection: Connection, counters: Counters, logger: Logger) {
        self.configuration = configuration
        self.connection = connection
        self.counters = counters
        self.logger = logger
        topics = Topics(root: configuration.root)
        (wake, wakeContinuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (published, publishedContinuation) = AsyncStream.makeStream()
        (pending, pendingContinuation) = AsyncStream.makeStream()
    }

    /// Serves until cancelled.
    func run() async {
        timer = DeadlineTimer(label: "trunkline.delivery") { [wakeContinuation] in wakeContinuation.yield() }
        let (wake, pending) = (wake, pending)
        await withDiscardingTaskGroup { group in
            group.addTask { for await _ in wake { await self.due() } }
            group.addTask {
                await withDiscardingTaskGroup { publishing in
                    for await (stream, part) in pending {
                        publishing.addTask { await self.publish(part, of: stream) }
                    }
                }
            }
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
        for case .publish(let part) in steps { pendingContinuation.yield((stream, part)) }
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

    private func publish(_ part: Int, of stream: PartSource.Stream) async {
        guard let (file, size, seal) = streams[stream].map({ ($0.file, $0.source.size, $0.seal) }) else { return }
        do {
            let offset = part * Control.partSize
            try file.seek(toOffset: UInt64(offset))
            let wanted = min(Control.partSize, size - offset)
            guard let bytes = try file.read(upToCount: wanted), bytes.count == wanted else {
                throw StartError("the bundle is shorter than its record says")
            }
            let sealed = try seal.seal(bytes, index: part)
            let topic =
                stream.machine.map {
                    topics.machinePart(group: stream.group, machine: $0, digest: stream.digest, index: part)
                } ?? topics.part(group: stream.group, digest: stream.digest, index: part)
            try await connection.publish(Message(topic: topic, payload: sealed, qos: .atLeastOnce, retained: false))
            counters.partPublished(bytes: sealed.count)
        } catch {
            counters.publishFailed()
            logger.debug("a part was not published", metadata: ["part": "\(part)", "error": "\(error)"])
        }
        // Also where it failed: Delivery sees from the receivers' reports that the part is missing, and sends it again.
        guard let steps = streams[stream]?.delivery.sent(part: part, at: .now) else { return }
        take(steps, for: stream)
        settle()
    }
}
