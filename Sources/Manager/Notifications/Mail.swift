import Fleet
import Foundation

/// To whom notifications are mailed, and by which program.
package struct MailSettings: Hashable, Sendable {
    var receivers: [String]
    /// Nil: whoever the program says for the manager's user.
    var sender: String?
    var program: HelperProgram
    /// Between two mails; what happens meanwhile goes with the next.
    var pause = TimeSpan.minutes(1)
    var patience = NotificationPatience()

    /// - Parameter sendmail: takes a mail on its standard input, and its receivers from `To`, as Debian's mail servers and relays all do.
    package init(to receivers: [String], from sender: String?, sendmail: String) throws {
        for address in receivers + (sender.map { [$0] } ?? []) where !MailAddress.isValid(address) {
            throw StartError(
                "\(address.forPeople(atMost: 100)) is no mail address: say it as night@example.net, without a name or comment"
            )
        }
        self.receivers = receivers
        self.sender = sender
        program = try HelperProgram(
            path: sendmail, arguments: ["-i", "-t"] + (sender.map { ["-f", $0] } ?? []), flag: "--sendmail")
        program.timeout = .minutes(2)
    }
}

/// Notifications by mail: the first at once, and then no more than one mail a minute with all that gathered.
struct Mail: NotificationChannel {
    let name = "mail"
    let words: String
    let settings: MailSettings
    let most = 200
    var pause: TimeSpan { settings.pause }
    var patience: NotificationPatience { settings.patience }

    init(settings: MailSettings) {
        self.settings = settings
        words = "mail by \(settings.program.path)"
    }

    func send(_ events: [EventEntry]) async -> NotificationOutcome {
        let text = MailText(events, to: settings.receivers, from: settings.sender)
        return switch await settings.program.run(text.data) {
        case .exited(0, _): .delivered
        case .exited(let status, let words): .unreachable("it ends with \(status): \(words)")
        case .failed(let reason): .unreachable(reason)
        }
    }
}
