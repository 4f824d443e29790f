import Fleet
import Foundation
import Logging
import Messaging
import Monitor
import Platforms
import Records
import OperatingSystem

/// Does what was committed: publishes orders, asks platforms for machines, serves software, revokes. It sees no more of the
/// control room than what that put into the lanes, and answers by the mailbox.
struct Outbox: Sendable {
    /// Where things leave; a test puts others in their place.
    struct Doors: Sendable {
        var seal: @Sendable (OrderDraft) async throws -> Message?
        var publish: @Sendable (Message) async throws -> Void
        var platform: @Sendable (Platform) throws(PlatformError) -> any MachinePlatform
        var exclude: @Sendable (String) async -> Void
        var publishRevocations: @Sendable () async -> Void
        var deliver: @Sendable (Lanes.Delivery) async -> Void
        var tell: @Sendable (Monitor.Event) -> Void
    }

    /// So much of a lane is at work at a time. A platform's is what one driver can be asked to do at once; a broker that hands parts to thousands acknowledges only
    /// now and then, and half of what it takes unacknowledged leaves room for those parts.
    static let publications = 500
    static let ofEachPlatform = 16
    static let listings = 32
    static let revocations = 8
    static let deliveries = 8

    let lanes: Lanes
    let topics: Topics
    let counters: Counters
    let doors: Doors
    let logger: Logger

    /// Works until the lanes are closed and empty, or it is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await lanes.publications.run(width: Self.publications) { await publish($0) } }
            group.addTask { await lanes.deliveries.run(width: Self.deliveries) { await doors.deliver($0) } }
            group.addTask { await lanes.revocations.run(width: Self.revocations) { await revoke($0) } }
            group.addTask { await lanes.listings.run(width: Self.listings) { await list($0) } }
            for await (platform, queue) in lanes.opened {
                group.addTask { await queue.run(width: Self.ofEachPlatform) { await perform($0, on: platform) } }
            }
        }
    }

    // MARK: The broker

    private func publish(_ publication: Lanes.Publication) async {
        switch publication {
        case .order(let draft): await publish(draft)
        case .clear(let group, let machine, let after):
            if let after { try? await doors.publish(after) }
            for topic in [topics.order(group: group, machine: machine), topics.status(group: group, machine: machine)] {
                try? await doors.publish(Message(topic: topic, payload: .init(), qos: .atLeastOnce, retained: true))
            }
        case .answer(let message):
            do { try await doors.publish(message) } catch {
                // Whoever has no answer asks again.
                logger.notice("an answer was not sent", metadata: ["topic": "\(message.topic)", "error": "\(error)"])
            }
        }
    }

    private func publish(_ draft: OrderDraft) async {
        do {
            guard let message = try await sealed(draft) else { return }
            try await doors.publish(message)
            counters.orderPublished(after: draft.asked.map { Timestamp.now - $0 })
        } catch {
            // Nothing is lost: every current order is published again when the broker is back.
            counters.publishFailed()
            logger.notice("an order was not published", metadata: ["machine": "\(draft.machine)", "error": "\(error)"])
        }
    }

    private func sealed(_ draft: OrderDraft) async throws -> Message? {
        // What it lacked while it was committed, such as a key of its software, may be there now.
        if let ahead = draft.sealed, case .success(let message?) = await ahead.result { return message }
        return try await doors.seal(draft)
    }

    private func revoke(_ revocation: Lanes.Revocation) async {
        switch revocation {
        case .list: await doors.publishRevocations()
        case .exclude(let machine, let group):
            await doors.exclude(machine)
            // The end of its connection made the broker say its last will.
            guard let group else { return }
            lanes.publications.put(.clear(group: group, machine: machine, after: nil), for: machine)
        }
    }

    // MARK: Platforms

    private func list(_ platform: Platform) async {
        let asked = Timestamp.now
        do {
            let listing = try await doors.platform(platform).list()
            doors.tell(
                .listed(platform: platform, running: listing.running, remains: listing.remains, asked: asked))
        } catch {
            doors.tell(.listFailed(platform: platform, reason: "\(error)"))
        }
    }

    private func perform(_ work: Lanes.PlatformWork, on platform: Platform) async {
        switch work {
        case .launch(let request):
            do {
                try await doors.platform(platform).launch(request)
                doors.tell(.launched(machine: request.machine))
            } catch {
                doors.tell(
                    .launchFailed(machine: request.machine, reason: "\(error)", isCertain: error.isCertain))
            }
        case .release(let machine, let isKnown):
            do {
                if platform != .none { try await doors.platform(platform).release(machine) }
                if isKnown { doors.tell(.released(machine: machine)) }
            } catch {
                logger.error("a machine was not released", metadata: ["machine": "\(machine)", "error": "\(error)"])
            }
        }
    }
}

extension Outbox {
    /// The real doors.
    init(
        control: Control, connection: Connection, boot: Connection?, delivery: PartServer, platforms: Platforms,
        revocations: RevocationPublisher?, logger: Logger
    ) {
        let workers = control.sealers
        let sealer = control.sealer
        self.init(
            lanes: control.lanes, topics: control.topics, counters: control.counters,
            doors: Doors(
                seal: { draft in
                    do { return try await workers.run { try sealer.seal(draft) } } catch let missing
                        as OrderSealer.NoContentKey
                    {
                        _ = try await control.contentKey(missing.name)
                        return try await workers.run { try sealer.seal(draft) }
                    }
                },
                publish: { [topics = control.topics] message in
                    try await (topics.isForBooting(message.topic) ? boot ?? connection : connection).publish(message)
                },
                platform: { name throws(PlatformError) in try platforms.platform(for: name) },
                exclude: { await revocations?.exclude($0) },
                publishRevocations: { await revocations?.publish() },
                deliver: { work in
                    switch work {
                    case .absent(let machine): await delivery.absent(machine)
                    case .receiving(let status, let request):
                        if await delivery.wants(status, of: request) { return }
                        do {
                            let source = try await workers.run { try sealer.partSource(request) }
                            guard let source else { return await delivery.absent(status.machine) }
                            await delivery.wants(source, status, awaited: request.awaited)
                        } catch {
                            logger.error(
                                "software can't be served",
                                metadata: ["machine": "\(status.machine)", "error": "\(error)"])
                        }
                    }
                },
                tell: { [mailbox = control.mailbox] in mailbox.put(.event($0)) }),
            logger: logger)
    }
}
