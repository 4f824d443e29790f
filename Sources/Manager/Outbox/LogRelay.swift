import Fleet
import Foundation
import Logging
import Messaging
import Records
import Sealing

/// Lines of machines' logs for those who watch. A machine sends them only while somebody does: its order says so, for a lease that is
/// renewed while there are readers, so that a manager that is gone leaves nobody sending for ever.
actor LogRelay {
    /// What a reader is given.
    enum Item: Hashable, Sendable {
        case line(LogLine)
        /// The last lines were said: what follows is new.
        case isLive
    }

    fileprivate struct Reader {
        /// The question that is answered with the last lines.
        var request: Int
        var tail: Int
        var isLive = false
        /// Of the answer that is coming.
        var answer: (request: Int, lines: [LogLine]) = (0, [])
        /// Lines that it was too slow for, since it was last told.
        var missed = 0
        let stream: AsyncStream<Item>.Continuation
    }

    private struct Watched {
        let group: String
        let topic: String
        var readers: [Int: Reader] = [:]
        /// The oldest and the newest question that lines may go back to.
        var requests: ClosedRange<Int>
        var newest = (session: -1, sequence: -1)
        /// Of messages that are opened.
        var budget = TokenBucket(burst: 400, perSecond: 100)
    }

    private let topics: Topics
    private let connection: Connection
    private let records: Records
    private let vault: Vault
    private let clock: ManagerClock
    private let logger: Logger
    /// Says in machines' orders who watches what; committed when it returns.
    private var order: (@Sendable ([String: OrderContent.Watch?]) async throws -> Void)?
    private var watched: [String: Watched] = [:]
    /// Begins anywhere, so that nobody takes it for an earlier manager's.
    private var next = Int.random(in: 1...(1 << 48))
    private var renewal: Task<Void, Never>?

    /// How long a machine sends where nothing more is heard.
    static let lease = TimeSpan.seconds(30)
    /// How long somebody who wants the last lines only waits for them.
    static let patience = TimeSpan.seconds(10)
    static let longestTail = 1000
    static let standardTail = 200
    /// So many lines a slow reader may lag behind; how many he then misses he is told.
    private static let backlog = 4000

    init(
        topics: Topics, connection: Connection, records: Records, vault: Vault, clock: ManagerClock, logger: Logger
    ) {
        self.topics = topics
        self.connection = connection
        self.records = records
        self.vault = vault
        self.clock = clock
        self.logger = logger
    }

    func use(_ order: @escaping @Sendable ([String: OrderContent.Watch?]) async throws -> Void) { self.order = order }

    /// The last lines, then what is new for as long as the stream is read.
    func watch(machine: String, of group: String, tail: Int) async throws -> AsyncStream<Item> {
        next += 1
        let id = next
        let topic = topics.log(group: group, machine: machine)
        let (stream, continuation) = AsyncStream<Item>.makeStream(bufferingPolicy: .bufferingOldest(Self.backlog))
        let isFirst = watched[machine] == nil
        var entry = watched[machine] ?? Watched(group: group, topic: topic, requests: id...id)
        entry.requests = entry.requests.lowerBound...id
        entry.readers[id] = Reader(request: id, tail: min(max(0, tail), Self.longestTail), stream: continuation)
        watched[machine] = entry
        continuation.onTermination = { _ in Task { await self.leave(id, machine) } }
        do {
            if isFirst { try await connection.subscribe([topic], qos: .atMostOnce) }
            try await order?([machine: wanted(machine)])
        } catch {
            continuation.finish()
            throw (error as? Refusal)
                ?? Refusal(code: .unavailable, message: "\(machine) can't be asked for its log now: \(error)")
        }
        renew()
        return stream
    }

    /// What the machine's order is to say.
    private func wanted(_ machine: String) -> OrderContent.Watch? {
        guard let entry = watched[machine], !entry.readers.isEmpty else { return nil }
        let waiting = entry.readers.values.filter { !$0.isLive }
        return OrderContent.Watch(
            request: entry.requests.upperBound, tail: waiting.map(\.tail).max() ?? 0, lease: Self.lease)
    }

    private func leave(_ id: Int, _ machine: String) async {
        guard watched[machine]?.readers.removeValue(forKey: id) != nil, let entry = watched[machine],
            entry.readers.isEmpty
        else { return }
        watched[machine] = nil
        try? await connection.unsubscribe([entry.topic])
        // One that came meanwhile has asked already.
        guard watched[machine] == nil else { return }
        // Where it cannot be said, the lease ends by itself.
        try? await order?([machine: nil])
    }

    /// All leases in one commit, while there are any.
    private func renew() {
        guard renewal == nil else { return }
        renewal = Task {
            while (try? await Task.sleep(for: .milliseconds(Self.lease.milliseconds / 2))) != nil, !watched.isEmpty {
                askAgain()
                try? await order?(Dictionary(uniqueKeysWithValues: watched.keys.map { ($0, wanted($0)) }))
            }
            renewal = nil
            if !watched.isEmpty, !Task.isCancelled { renew() }
        }
    }

    /// Where the answer did not come whole: what is sent at QoS 0 may be lost, and a machine may have been away.
    private func askAgain() {
        for (machine, entry) in watched where entry.readers.values.contains(where: { !$0.isLive }) {
            next += 1
            watched[machine]?.requests = entry.requests.lowerBound...next
        }
    }

    // MARK: What comes

    /// What the machine itself has sealed for this question, and nothing that was said before.
    func receive(_ payload: Data, of machine: String) {
        guard watched[machine]?.budget.take(at: clock.now) == true, var entry = watched[machine],
            let message = try? LogMessage.decode(payload), message.group == entry.group, message.machine == machine,
            (message.session, message.sequence) > entry.newest
        else { return }
        do {
            guard let content = try open(message), entry.requests.contains(content.request) else { return }
            entry.newest = (message.session, message.sequence)
            for id in entry.readers.keys { entry.readers[id]?.take(content) }
            watched[machine] = entry
        } catch {
            logger.debug(
                "lines of a log could not be opened", metadata: ["machine": "\(machine)", "error": "\(error)"])
        }
    }

    /// Nil where machine or group are gone.
    private func open(_ message: LogMessage) throws -> LogContent? {
        guard let known = try records.machineKey(message.machine), !known.revoked,
            let group = try records.group(message.group)
        else { return nil }
        let key = try SecurityKey.PublicKey(rawRepresentation: known.publicKey)
        let sealed = Sealed(encapsulated: message.encapsulated, ciphertext: message.ciphertext)
        let opened = try vault.keys(of: group).lazy.compactMap { groupKey in
            try? AuthenticSeal.log.open(sealed, with: groupKey, from: key, authenticating: message.header)
        }.first
        return try opened.map { try LogContent.decode($0) }
    }

    /// A new connection knows no subscriptions.
    func subscribeAgain() async {
        let filters = watched.values.map(\.topic)
        if !filters.isEmpty { try? await connection.subscribe(filters, qos: .atMostOnce) }
    }

    func close() {
        renewal?.cancel()
        order = nil
        for entry in watched.values { for reader in entry.readers.values { reader.stream.finish() } }
    }
}

extension LogRelay.Reader {
    fileprivate mutating func take(_ content: LogContent) {
        guard let tail = content.tail else {
            if isLive { give(content.lines) }
            return
        }
        // Who is live has had his; an answer to a question from before he came lacks what was said between.
        guard !isLive, content.request >= request else { return }
        if answer.request != content.request { answer = (content.request, []) }
        answer.lines += content.lines
        // A machine that sends more than it was asked for fills nothing here.
        answer.lines = answer.lines.suffix(LogRelay.longestTail)
        guard tail == .last else { return }
        give(answer.lines.suffix(self.tail))
        answer.lines = []
        isLive = true
        _ = stream.yield(.isLive)
    }

    private mutating func give(_ lines: some Sequence<LogLine>) {
        for line in lines {
            if missed > 0 {
                let words = "(\(missed) lines were not shown: they came faster than they were read)"
                if case .enqueued = stream.yield(.line(LogLine(at: line.at, stream: .agent, text: words))) {
                    missed = 0
                }
            }
            guard case .enqueued = stream.yield(.line(line)) else {
                missed += 1
                continue
            }
        }
    }
}
