import Certificates
import Client
import Fleet
import Foundation
import Logging
import Messaging
import Simulator
import Sealing
import Synchronization
import TestSupport

private let rounds = 60
/// A machine is not let renew much more often than this.
private let renewals = 4
/// Of one machine the manager looks at 20 statuses a second.
private let pause = Duration.milliseconds(150)
private let strangers = 4

/// What a flood at the boot broker costs those inside. Strangers, brokers and manager share this machine's processors: what the same strangers
/// cost who flood another broker, of which nobody inside hears, is measured too.
func floodRows(_ site: Site) async throws -> [Row] {
    let inside = try await Inside(site)
    let elsewhere = try await Broker.start(certificates: site.directory.path + "/data/broker")
    let rows: Result<[Row], any Error>
    do {
        rows = .success(
            try await inside.connected {
                let rest = try await inside.measured()
                let (away, sentAway) = try await flooding(elsewhere, inside.ticket) { try await inside.measured() }
                let (here, sent) = try await flooding(site.broker, inside.ticket) { try await inside.measured() }
                let names = ["status to what people see", "drifted status to order", "renewal to certificate"]
                func rows(_ what: String, _ before: [Duration], _ after: [Duration]) -> [Row] {
                    zip(names, zip(before, after)).map { name, times in
                        Row("\(name), p50, \(what)", baseline: times.0, times.1, .milliseconds)
                    }
                }
                return rows("at rest and under a flood", rest, here)
                    + rows("the same flood elsewhere and here", away, here) + [
                        Row("messages of a flood", baseline: Double(sentAway), Double(sent), .none)
                    ]
            })
    } catch { rows = .failure(error) }
    await elsewhere.stop()
    return try rows.get()
}

/// One machine with a certificate, and the times that it waits.
private final class Inside: Sendable {
    let ticket: BootTicket
    private let site: Site
    private let machine: PaperMachine
    private let digest: String
    private let group: SecurityKey.PublicKey
    private let connection: Connection
    private let topics = Topics()
    private let heard = Heard()
    /// Of its statuses, and the generation that it has.
    private let counts = Mutex((sequence: 0, generation: 1))
    private let key = TransportKey()

    init(_ site: Site) async throws {
        self.site = site
        digest = try await site.push("door", version: "1").digest
        ticket = try await site.group("door", software: "door@1", count: 1)
        guard let boot = ticket.boot.flatMap(BrokerAddress.init), let known = BrokerAddress(ticket.broker),
            let raw = Data(base64Encoded: ticket.groupKey)
        else { throw BenchError("the ticket leads nowhere") }
        group = try SecurityKey.PublicKey(rawRepresentation: raw)
        var machine = PaperMachine("door-x100000000", ticket: ticket)
        let registration = try machine.registration()
        self.machine = machine
        let security = TransportSecurity(trust: ticket.trust ?? "")
        let door = Connection(.init(broker: boot, clientID: "boot-door", security: security), logger: .quiet)
        async let running: Void = door.run()
        let (topic, client) = (machine.registerTopic, site.client)
        // What throws is not true yet.
        let isIn = try await eventually {
            try await door.publish(Message(topic: topic, payload: registration, qos: .atLeastOnce))
            return try await client.allMachines(group: "door").first?.generation == 1
        }
        await door.close()
        await running
        guard isIn else { throw BenchError("the machine could not register") }
        connection = Connection(
            .init(broker: known, clientID: machine.id, security: try site.security(of: "door/machines/\(machine.id)")),
            logger: .quiet)
    }

    func connected<Answer>(_ body: () async throws -> Answer) async throws -> Answer {
        async let running: Void = connection.run()
        async let listening: Void = listen()
        let result: Result<Answer, any Error>
        do {
            guard try await eventually({ self.connection.isConnected }) else { throw BenchError("no known broker") }
            let own = [
                topics.order(group: "door", machine: machine.id), topics.answer(group: "door", machine: machine.id),
            ]
            try await connection.subscribe(own, qos: .atLeastOnce)
            result = .success(try await body())
        } catch {
            result = .failure(error)
        }
        await connection.close()
        _ = await (running, listening)
        return try result.get()
    }

    private func listen() async {
        for await event in connection.events {
            if case .message(let message) = event { heard.note(message.topic, size: message.payload.count) }
        }
    }

    /// Medians.
    func measured() async throws -> [Duration] {
        var (seen, ordered, renewed): ([Duration], [Duration], [Duration]) = ([], [], [])
        for round in 0..<rounds {
            try await Task.sleep(for: pause)
            let start = ContinuousClock.now
            try await say(digest: digest)
            let isSeen = try await eventually(every: .milliseconds(1)) {
                try await self.site.client.machine(self.machine.id).verified
            }
            guard isSeen else { throw BenchError("the machine was not verified") }
            seen.append(ContinuousClock.now - start)
            ordered.append(
                try await time(topics.order(group: "door", machine: machine.id)) {
                    try await self.say(digest: String(repeating: "0", count: 64))
                })
            counts.withLock { $0.generation += 1 }
            guard round.isMultiple(of: rounds / renewals) else { continue }
            let request = try RegistrationContent.Request(request: key.request(named: machine.id), reply: machine.id)
            let renewal = try machine.comingBack(under: group, asking: request)
            let topic = topics.renewal(group: "door", machine: machine.id)
            renewed.append(
                try await time(topics.answer(group: "door", machine: machine.id)) {
                    try await self.connection.publish(Message(topic: topic, payload: renewal, qos: .atLeastOnce))
                })
        }
        return [seen, ordered, renewed].map { percentile($0, 0.5) }
    }

    private func time(_ topic: String, _ say: @escaping @Sendable () async throws -> Void) async throws -> Duration {
        try await heard.time(topic) { Task { try await say() } }
    }

    private func say(digest: String) async throws {
        let (sequence, generation) = counts.withLock { counts in
            counts.sequence += 1
            return counts
        }
        let status = try machine.status(
            sequence: sequence, state: .running, order: generation,
            software: RunningSoftware(
                name: "door", version: "1", digest: digest, generation: generation, health: .passing,
                since: Timestamp(milliseconds: 1_767_225_600_000), restarts: 0))
        try await connection.publish(
            Message(topic: machine.statusTopic, payload: status, qos: .atLeastOnce, retained: true))
    }
}

private final class FloodProgress: Sendable { let state = Mutex((sent: 0, isOver: false)) }

/// Runs `body` while a silent crowd stands at the boot broker and strangers say garbage and well-formed registrations; how much they said.
private func flooding<Answer>(
    _ broker: Broker, _ ticket: BootTicket, _ body: () async throws -> Answer
) async throws -> (Answer, sent: Int) {
    guard let port = broker.bootPort, var boot = ticket.boot.flatMap(BrokerAddress.init) else {
        throw BenchError("no boot broker")
    }
    boot.port = port
    var unknown = PaperMachine("door-xaaaabbbb", ticket: ticket)
    let formed = try unknown.registration(secret: RandomBytes.data(count: 32))
    let messages = [Data(repeating: 0x7b, count: 8192), formed].map {
        Message(topic: unknown.registerTopic, payload: $0, qos: .atLeastOnce)
    }
    let progress = FloodProgress()
    return try await withOpenFiles(4096) {
        let crowd = try Crowd(at: port, silent: 1000, halfOpen: 200)
        defer { crowd.leave() }
        return try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<strangers {
                let security = TransportSecurity(trust: ticket.trust ?? "")
                let stranger = Connection(
                    .init(broker: boot, clientID: "boot-flood\(index)", security: security), logger: .quiet)
                group.addTask { await stranger.run() }
                group.addTask {
                    while !progress.state.withLock({ $0.isOver }) {
                        try? await stranger.publish(messages[progress.state.withLock { $0.sent } % 2])
                        progress.state.withLock { $0.sent += 1 }
                        _ = try await eventually { stranger.isConnected || progress.state.withLock { $0.isOver } }
                    }
                    await stranger.close()
                }
            }
            let answer: Answer
            do {
                defer { progress.state.withLock { $0.isOver = true } }
                answer = try await body()
            }
            try await group.waitForAll()
            return (answer, progress.state.withLock { $0.sent })
        }
    }
}
