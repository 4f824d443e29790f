import Bundles
import Fleet
import Foundation
import Logging
import Messaging
import Monitor
import OperatingSystem
import Sealing

/// Performs what `Delivery` decides: reads parts of bundles, encrypts them, publishes them, and tells it what came of it.
actor PartServer {
    fileprivate struct Open {
        var delivery: Delivery
        var source: PartSource
        var file: FileHandle
        var seal: PartSeal
        /// Machines that ask for the index, and for no part before they have it.
        var comparing: Set<String> = []
        /// Whether the index is to be published once it is made.
        var owesIndex = false
    }

    private let configuration: ManagerConfiguration
    private let topics: Topics
    private let line: PartLine
    private let counters: Counters
    private let logger: Logger
    private var streams: [PartSource.Stream: Open] = [:]
    /// Which stream each machine receives.
    private var receivers: [String: PartSource.Stream] = [:]
    /// How many streams of each group are open: they share its bandwidth.
    private var streamsOfGroup: [String: Int] = [:]
    /// When the timer goes off: not after the earliest deadline of all streams.
    private var dueAt: Timestamp?
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
    /// The indices of bundles that are being delivered, by digest; one that could not be made is empty.
    private var indices: [String: Data] = [:]
    /// Those that are being made. Bounded by the open streams.
    private var indexing: Set<String> = []
    private let unindexed: AsyncStream<PartSource>
    private let unindexedContinuation: AsyncStream<PartSource>.Continuation
    private let workers = Workers(label: "trunkline.index")
    /// Bytes that the broker has not acknowledged, of all streams.
    private var inFlight = 0

    /// Of all streams together: what else is published waits for no more than this, where there is but one connection (`PartLine`).
    static let mostInFlight = 4 << 20

    private struct Published {
        var stream: PartSource.Stream
        var part: Int
        var bytes: Int
        var error: (any Error)?
    }

    init(configuration: ManagerConfiguration, line: PartLine, counters: Counters, logger: Logger) {
        self.configuration = configuration
        self.line = line
        self.counters = counters
        self.logger = logger
        topics = Topics(root: configuration.root)
        (wake, wakeContinuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (published, publishedContinuation) = AsyncStream.makeStream()
        (unindexed, unindexedContinuation) = AsyncStream.makeStream()
    }

    /// Serves until cancelled.
    func run() async {
        timer = DeadlineTimer(label: "trunkline.delivery") { [wakeContinuation] in wakeContinuation.yield() }
        let (wake, published, unindexed) = (wake, published, unindexed)
        await withDiscardingTaskGroup { group in
            group.addTask { for await _ in wake { await self.due() } }
            group.addTask { for await part in published { await self.ended(part) } }
            group.addTask { for await source in unindexed { await self.index(source) } }
        }
        timer?.set(nil)
    }

    /// A machine said which parts it has; false where its stream is not open, and `wants(_:_:awaited:)` is to say where parts come from.
    func wants(_ status: Status, of request: PartRequest) -> Bool {
        guard let source = streams[request.stream]?.source else { return false }
        wants(source, status, awaited: request.awaited)
        return true
    }

    /// A machine said which parts it has.
    ///
    /// - Parameter awaited: how many more of its group are likely to come soon.
    func wants(_ source: PartSource, _ status: Status, awaited: Int) {
        guard let receiving = status.receiving else { return absent(status.machine) }
        if receivers[status.machine] != source.stream { absent(status.machine) }
        do {
            if streams[source.stream] == nil {
                streams[source.stream] = try self.open(source)
                streamsOfGroup[source.group, default: 0] += 1
            }
            share(source.stream)
            streams[source.stream]?.delivery.expect(source.machine == nil ? awaited : 0)
            receivers[status.machine] = source.stream
            // In place, here and below: a copy of all receivers for each of their words would cost more than the rest.
            let steps = streams[source.stream]?.wants(status.machine, receiving, at: .now)
            take(steps ?? [], for: source.stream)
        } catch {
            logger.error("a bundle can't be read", metadata: ["digest": "\(source.digest)", "error": "\(error)"])
        }
        settle(source.stream)
    }

    /// A machine no longer receives: it has all, went away, or was ordered something else.
    func absent(_ machine: String) {
        guard let stream = receivers.removeValue(forKey: machine),
            let steps = streams[stream]?.left(machine, at: .now)
        else { return }
        take(steps, for: stream)
        settle(stream)
    }

    func isReceiving(_ machine: String) -> Bool { receivers[machine] != nil }

    private func open(_ source: PartSource) throws -> Open {
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: configuration.bundle(source.digest)))
        return Open(
            delivery: Delivery(
                parts: source.parts + 1, partSize: Control.partSize, bandwidth: source.bandwidth, at: .now),
            source: source, file: file, seal: PartSeal(key: source.key, digest: source.digest, count: source.parts))
    }

    /// All streams share what may be under way, and those of a group its bandwidth.
    private func share(_ stream: PartSource.Stream) {
        let ofGroup = max(streamsOfGroup[stream.group] ?? 1, 1)
        let bandwidth = streams[stream]?.source.bandwidth.map { max($0 / ofGroup, 1) }
        let underWay = Delivery.standardUnderWay / max(streams.count, 1)
        streams[stream]?.delivery.share(underWay: underWay, bandwidth: bandwidth)
    }

    private func due() {
        let now = Timestamp.now
        dueAt = nil
        for stream in Array(streams.keys) {
            guard let next = streams[stream]?.delivery.nextDeadline else { continue }
            guard next <= now else {
                dueAt = min(dueAt ?? next, next)
                continue
            }
            share(stream)
            take(streams[stream]?.delivery.due(at: now) ?? [], for: stream)
            settle(stream)
        }
        timer?.set(dueAt)
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

    /// Drops the stream where it has no receiver any more, and sets the timer for it: what others are due at does not change.
    private func settle(_ stream: PartSource.Stream) {
        guard let isIdle = streams[stream]?.delivery.isIdle else { return }
        if isIdle {
            try? streams.removeValue(forKey: stream)?.file.close()
            let rest = (streamsOfGroup[stream.group] ?? 1) - 1
            streamsOfGroup[stream.group] = rest > 0 ? rest : nil
            if streamsOfGroup.isEmpty || !streams.keys.contains(where: { $0.digest == stream.digest }) {
                indices[stream.digest] = nil
            }
        } else if let next = streams[stream]?.delivery.nextDeadline, dueAt.map({ next < $0 }) ?? true {
            dueAt = next
            timer?.set(next)
        }
        counters.delivering(streams.count)
    }

    private func publish(_ number: Int, of stream: PartSource.Stream) {
        guard let open = streams[stream] else { return }
        do {
            guard let sealed = try number == Open.index ? sealedIndex(of: open) : open.sealed(number - 1) else {
                return
            }
            // The index goes under the number after the last part's.
            let part = number == Open.index ? open.source.parts : number - 1
            let topic =
                stream.machine.map {
                    topics.machinePart(group: stream.group, machine: $0, digest: stream.digest, index: part)
                } ?? topics.part(group: stream.group, digest: stream.digest, index: part)
            inFlight += sealed.count
            line.publish(Message(topic: topic, payload: sealed, qos: .atLeastOnce, retained: false)) {
                [publishedContinuation] result in
                var error: (any Error)?
                if case .failure(let failure) = result { error = failure }
                publishedContinuation.yield(
                    Published(stream: stream, part: number, bytes: sealed.count, error: error))
            }
        } catch {
            publishedContinuation.yield(Published(stream: stream, part: number, bytes: 0, error: error))
        }
    }

    /// Nil where it has to be made first: then it is published as soon as it is.
    private func sealedIndex(of open: Open) throws -> Data? {
        let stream = open.source.stream
        guard let index = indices[stream.digest] else {
            streams[stream]?.owesIndex = true
            if indexing.insert(stream.digest).inserted { unindexedContinuation.yield(open.source) }
            return nil
        }
        guard !index.isEmpty else { throw StartError("the bundle has no index") }
        return try open.seal.seal(contentIndex: index)
    }

    private func index(_ source: PartSource) async {
        let path = configuration.bundle(source.digest)
        let index = try? await workers.run {
            Data(try BundleIndex(bundleAt: path, size: source.size, hash: BundleDigest.short(of:)).encoded())
        }
        indexing.remove(source.digest)
        indices[source.digest] = index ?? Data()
        for (stream, open) in streams where stream.digest == source.digest && open.owesIndex {
            streams[stream]?.owesIndex = false
            publish(Open.index, of: stream)
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
        share(ended.stream)
        take(streams[ended.stream]?.delivery.sent(part: ended.part, at: .now) ?? [], for: ended.stream)
        settle(ended.stream)
    }
}

extension PartServer.Open {
    /// For `Delivery` the index is the first part, and the others follow: who asks for it is to have it soon.
    static let index = 0

    mutating func wants(_ machine: String, _ receiving: Receiving, at now: Timestamp) -> [Delivery.Step] {
        if receiving.index == true {
            comparing.insert(machine)
            return delivery.wants(machine, have: PartRanges(upTo: source.parts).shifted, at: now)
        }
        var steps: [Delivery.Step] = []
        // What was sent while it compared says nothing about what it lacks.
        if comparing.remove(machine) != nil { steps = delivery.left(machine, at: now) }
        var have = receiving.have.shifted
        have.insert(Self.index)
        return steps + delivery.wants(machine, have: have, at: now)
    }

    mutating func left(_ machine: String, at now: Timestamp) -> [Delivery.Step] {
        comparing.remove(machine)
        return delivery.left(machine, at: now)
    }

    func sealed(_ part: Int) throws -> Data {
        let offset = part * Control.partSize
        try file.seek(toOffset: UInt64(offset))
        let wanted = min(Control.partSize, source.size - offset)
        guard let bytes = try file.read(upToCount: wanted), bytes.count == wanted else {
            throw StartError("the bundle is shorter than its record says")
        }
        return try seal.seal(bytes, index: part)
    }
}
