import Fleet

/// A way by which notifications leave.
protocol NotificationChannel: Sendable {
    /// In metrics and in the records, where it stands in the history.
    var name: String { get }
    /// For people, within a sentence.
    var words: String { get }
    /// So many of them go at once.
    var most: Int { get }
    /// Between one that left and the next.
    var pause: TimeSpan { get }
    var patience: NotificationPatience { get }

    /// In the order of the history; one at least.
    func send(_ events: [EventEntry]) async -> NotificationOutcome
    /// Nothing more is sent.
    func close() async
}

extension NotificationChannel {
    var most: Int { 1 }
    var pause: TimeSpan { .zero }
    func close() async {}
}

enum NotificationOutcome: Hashable, Sendable {
    case delivered
    /// Nobody there, or not now; why, for people.
    case unreachable(String)
    /// The receiver says that it is wrong.
    case refused(String)
}

/// How often, and for how long, what does not leave is tried again.
struct NotificationPatience: Hashable, Sendable {
    /// The pause after the first try that fails; doubled after each further one.
    var firstPause = TimeSpan.seconds(1)
    var longestPause = TimeSpan.minutes(5)
    /// A notification that is so old is given up.
    var giveUpAfter = TimeSpan.hours(24)
    /// So often one is tried that the receiver calls wrong.
    var triesWhereRefused = 5
    /// More than so many that wait are given up, the oldest first.
    var mostWaiting = 1000

    /// After so many tries in a row that failed.
    func pause(after tries: Int) -> TimeSpan {
        min(longestPause, firstPause * (Int64(1) << Int64(min(max(0, tries - 1), 30))))
    }
}
