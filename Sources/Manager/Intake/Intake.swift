import Dispatch
import Fleet
import Foundation
import Messaging
import OperatingSystem
import Synchronization

/// The first room: what arrives by MQTT is hostile until its MAC or seal has been checked, in lanes beside the control room.
///
/// It may read the records and keys, and put into the mailbox; it changes nothing. All messages of one machine go through one lane, in order.
final class Intake: Sendable {
    let topics: Topics
    let counters: Counters
    let hearing: Hearing
    private let statuses: [(lane: Lane, reader: StatusReader)]
    private let registrations: [Lane]
    /// Of who has no certificate.
    private let strangers: [Lane]
    var lanes: [Lane] { statuses.map(\.lane) + registrations + strangers }
    private let opener: RegistrationOpener
    private let inHand = RegistrationsInHand()

    /// Messages that wait in one lane; more are dropped, which is deafness where they are statuses.
    static let mostWaiting = 20_000
    /// Opened ones that wait for their decision.
    static let mostUndecided = 20_000
    /// Nanoseconds; what is further apart than this is read where it came.
    static let unhurried = 100_000
    private let lastCame = Atomic(0)
    /// Of who has no certificate: what waits in a lane, and what is opened and undecided by all when no more of theirs is taken.
    static let mostStrangers = 5_000

    init(control: Control, mostWaiting: Int = Intake.mostWaiting) {
        topics = control.topics
        counters = control.counters
        hearing = control.hearing
        let budgets = control.budgets
        let dismisser = Dismisser(control: control)
        opener = RegistrationOpener(
            records: control.records, rows: control.sealerRows, vault: control.vault, issuer: control.issuer,
            topics: control.topics,
            clock: control.clock, mailbox: control.mailbox, keys: control.statusKeys,
            budgets: (known: budgets, boot: Budgets()),
            counters: control.counters, logger: control.logger, dismisser: dismisser,
            isAnswering: { [lanes = control.lanes] in lanes.publications.isBusy(with: $0) })
        let width = max(2, min(8, ProcessInfo.processInfo.activeProcessorCount))
        statuses = (0..<width).map { index in
            let lane = Lane(label: "trunkline.status.\(index)", most: mostWaiting)
            let reader = StatusReader(
                lane: lane, keys: control.statusKeys, mailbox: control.mailbox, budgets: budgets,
                counters: control.counters, dismisser: dismisser)
            return (lane, reader)
        }
        // Opening is costly: as many at a time as leave room for everything else.
        registrations = (0..<max(1, width / 2)).map {
            Lane(label: "trunkline.registration.\($0)", qos: .utility, most: mostWaiting)
        }
        strangers = (0..<max(1, width / 2)).map {
            Lane(label: "trunkline.stranger.\($0)", qos: .utility, most: min(mostWaiting, Self.mostStrangers))
        }
    }

    /// Returns at once. False: a status was dropped, and is to be asked for again.
    @discardableResult
    func receive(_ message: Message, at now: Timestamp = .now) -> Bool {
        switch topics.parse(message.topic) {
        case .status(let group, let machine):
            // An empty retained message is our own clearing of a machine that is gone.
            guard !message.payload.isEmpty else { return true }
            counters.statusReceived()
            let (lane, reader) = Self.one(of: statuses, for: machine)
            let read: @Sendable () -> Void = {
                reader.read(message.payload, group: group, machine: machine, since: now)
            }
            // What comes fast is taken from the broker first, so that it is known how late it is.
            let taken = isUnhurried() ? lane.performOrAdd(read) : lane.add(read)
            if !taken { counters.messageDropped() }
            return taken
        case .registration(let group, let machine), .renewal(let group, let machine):
            // Cleared, or an empty one.
            guard !message.payload.isEmpty else { return true }
            open(message.payload, group: group, machine: machine, boots: false)
        default: break
        }
        return true
    }

    /// Whether nothing came for a while.
    private func isUnhurried() -> Bool {
        let now = Int(clamping: DispatchTime.now().uptimeNanoseconds)
        return now - lastCame.exchange(now, ordering: .relaxed) >= Self.unhurried
    }

    /// What the boot broker has: registrations, and nothing else is taken from there. Returns at once.
    func receiveAtBoot(_ message: Message) {
        guard case .registration(let group, let machine) = topics.parse(message.topic) else { return }
        open(message.payload, group: group, machine: machine, boots: true)
    }

    private func open(_ payload: Data, group: String, machine: String, boots: Bool) {
        counters.registrationReceived()
        guard let hold = inHand.take(payload) else { return counters.registrationRepeated() }
        // Who gets no answer says it again, later and later.
        let taken =
            opener.mailbox.count < (boots ? Self.mostStrangers : Self.mostUndecided)
            && Self.one(of: boots ? strangers : registrations, for: machine).add { [opener] in
                opener.open(payload, hold, group: group, machine: machine, boots: boots)
            }
        if !taken { counters.registrationDropped() }
    }

    /// The same for a machine while the process runs.
    private static func one<Element>(of lanes: [Element], for machine: String) -> Element {
        lanes[Int(UInt(bitPattern: machine.hashValue) % UInt(lanes.count))]
    }

    /// Returns when everything that had come is in the mailbox, held or refused.
    func settle() async {
        for lane in lanes { await lane.settle() }
    }
}
