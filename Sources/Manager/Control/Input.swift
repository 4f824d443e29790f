import Fleet
import Monitor

extension Control {
    /// What the mailbox holds: checked, opened, and still to be decided. Indirect, since it is handed on several times and would be copied, some
    /// 600 bytes of it, each time.
    indirect enum Input: Sendable {
        case event(Monitor.Event)
        /// Its MAC was right.
        case status(Status)
        /// Its seal was right.
        case registration(OpenedRegistration)
        /// Is to stand in the history: budgets have been asked already.
        case refused(RefusedMessage)
        /// It is gone from the records, and does not know.
        case dismissed(Dismissed)
        /// A window of maintenance opens or closes, or the clock may have been stepped.
        case windows
        /// A rule's scale or roll-back, which makes a new revision.
        case revision(Monitor.Effect)
    }
}

extension Control.Input: Coalescing {
    enum Subject: Hashable {
        case status(machine: String)
        case due, windows, connected
    }

    var about: Subject? {
        switch self {
        case .status(let status), .event(.status(let status)): .status(machine: status.machine)
        case .event(.due): .due
        case .windows: .windows
        case .event(.connected): .connected
        default: nil
        }
    }

    /// The newest status of a machine stands for those before it; a will and a status don't stand for each other, nor do two holders of one
    /// identity.
    func replaces(_ older: Self) -> Bool {
        switch (self, older) {
        case (.status(let new), .status(let old)):
            (new.state == .away) == (old.state == .away) && new.holder == old.holder
                && (new.session, new.sequence) >= (old.session, old.sequence)
        case (.event(.due), .event(.due)), (.windows, .windows), (.event(.connected), .event(.connected)): true
        default: false
        }
    }

    /// For the log, where it could not be taken.
    var summary: String {
        switch self {
        case .status(let status): "a status of \(status.machine)"
        case .registration(let registration): "the registration of \(registration.machine)"
        case .refused(let refused): "a refusal of \(refused.machine)"
        case .dismissed(let dismissed): "the dismissal of \(dismissed.machine)"
        case .revision: "a revision that a rule asked for"
        case .windows: "a window of maintenance"
        case .event(let event): "an event: " + "\(event)".prefix(200)
        }
    }

    var machine: String? {
        switch self {
        case .status(let status): status.machine
        case .registration(let registration): registration.machine
        default: nil
        }
    }
}

/// A message that was not believed.
struct RefusedMessage: Sendable {
    var kind: EventEntry.Kind
    var group: String
    var machine: String
    var reason: String
    /// So many more were refused since the last that came into the history.
    var more = 0
}
