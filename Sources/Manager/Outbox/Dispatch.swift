import Fleet
import Foundation
import Logging
import Messaging
import Monitor
import Platforms
import Synchronization

/// Does what was committed: publishes orders, asks platforms for machines, serves software.
struct Dispatch: Sendable {
    let control: Control
    let connection: Connection
    let delivery: PartServer
    let platforms: Platforms
    /// Nil with a plain broker.
    let revocations: RevocationPublisher?
    let logger: Logger
    private let lines = Lines()

    init(
        control: Control, connection: Connection, delivery: PartServer, platforms: Platforms,
        revocations: RevocationPublisher? = nil, logger: Logger
    ) {
        self.control = control
        self.connection = connection
        self.delivery = delivery
        self.platforms = platforms
        self.revocations = revocations
        self.logger = logger
    }

    /// So many publications or platform requests at a time.
    static let width = 64

    /// Works until the control's work ends or it is cancelled.
    func run() async {
        let work = control.work
        await withTaskGroup(of: Void.self) { group in
            var running = 0
            for await item in work {
                // Deliveries keep their order, and so does everything about one machine; the rest is independent of each other.
                switch item {
                case .receiving(let status): await receiving(status)
                case .absent(let machine): await delivery.absent(machine)
                // Nobody else waits for a broker that is slow to hear.
                case .revocations: group.addTask { await revocations?.publish() }
                case .list(let platform): group.addTask { await list(platform) }
                default:
                    guard let machine = item.machine, lines.join(item, of: machine) else { continue }
                    if running >= Self.width {
                        await group.next()
                        running -= 1
                    }
                    running += 1
                    group.addTask { while let next = lines.next(of: machine) { await perform(next) } }
                }
            }
        }
    }

    private func receiving(_ status: Status) async {
        do {
            if let source = try await control.partSource(for: status) {
                await delivery.wants(source, status)
            } else {
                await delivery.absent(status.machine)
            }
        } catch {
            logger.error("software can't be served", metadata: ["machine": "\(status.machine)", "error": "\(error)"])
        }
    }

    private func perform(_ work: Control.Work) async {
        switch work {
        case .order(let machine): await publishOrder(machine)
        case .clearTopics(let group, let machine, let last):
            if let last { try? await connection.publish(last) }
            for topic in [
                control.topics.order(group: group, machine: machine),
                control.topics.status(group: group, machine: machine),
            ] {
                try? await connection.publish(
                    Message(topic: topic, payload: .init(), qos: .atLeastOnce, retained: true))
            }
        case .launch(let request, let platform): await launch(request, platform)
        case .release(let machine, let platform): await release(machine, platform)
        case .releaseUnknown(let machine, let platform):
            do { try await platforms.platform(for: platform).release(machine) } catch {
                logger.error("a machine was not released", metadata: ["machine": "\(machine)", "error": "\(error)"])
            }
        case .answer(let machine, let message):
            do { try await connection.publish(message) } catch {
                // Whoever has no answer asks again.
                logger.notice("a certificate was not sent", metadata: ["machine": "\(machine)", "error": "\(error)"])
            }
        case .exclude(let machine): await revocations?.exclude(machine)
        case .receiving, .absent, .revocations, .list: break
        }
    }

    private func publishOrder(_ machine: String) async {
        do {
            guard let message = try await control.sealedOrder(for: machine) else { return }
            try await connection.publish(message)
            control.counters.orderPublished()
        } catch {
            // Nothing is lost: every current order is published again when the broker is back.
            control.counters.publishFailed()
            logger.notice("an order was not published", metadata: ["machine": "\(machine)", "error": "\(error)"])
        }
    }

    private func list(_ platform: Platform) async {
        let asked = Timestamp.now
        do {
            let listing = try await platforms.platform(for: platform).list()
            control.mailbox.put(
                .event(
                    .listed(
                        platform: platform, running: listing.running, remains: listing.remains, asked: asked)))
        } catch {
            control.mailbox.put(.event(.listFailed(platform: platform, reason: "\(error)")))
        }
    }

    private func launch(_ request: LaunchRequest, _ platform: Platform) async {
        do {
            try await platforms.platform(for: platform).launch(request)
            control.mailbox.put(.event(.launched(machine: request.machine)))
        } catch {
            control.mailbox.put(
                .event(.launchFailed(machine: request.machine, reason: "\(error)", isCertain: error.isCertain)))
        }
    }

    private func release(_ machine: String, _ platform: Platform) async {
        do {
            if platform != .none { try await platforms.platform(for: platform).release(machine) }
            control.mailbox.put(.event(.released(machine: machine)))
        } catch {
            logger.error("a machine was not released", metadata: ["machine": "\(machine)", "error": "\(error)"])
        }
    }
}

extension Control.Work {
    fileprivate var machine: String? {
        switch self {
        case .order(let machine), .release(let machine, _), .releaseUnknown(let machine, _),
            .clearTopics(_, let machine, _), .absent(let machine),
            .answer(let machine, _), .exclude(let machine):
            machine
        case .launch(let request, _): request.machine
        case .receiving(let status): status.machine
        case .revocations, .list: nil
        }
    }
}

/// What waits to be done, machine by machine: a machine must not be released before it is launched.
private final class Lines: Sendable {
    private let waiting = Mutex<[String: [Control.Work]]>([:])

    /// True where nobody works for the machine yet: whoever asks is to begin.
    func join(_ work: Control.Work, of machine: String) -> Bool {
        waiting.withLock { waiting in
            defer { waiting[machine, default: []].append(work) }
            return waiting[machine] == nil
        }
    }

    /// Nil: the line is done.
    func next(of machine: String) -> Control.Work? {
        waiting.withLock { waiting in
            guard let first = waiting[machine]?.first else {
                waiting[machine] = nil
                return nil
            }
            waiting[machine]?.removeFirst()
            return first
        }
    }
}
