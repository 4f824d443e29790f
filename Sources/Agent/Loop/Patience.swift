import Fleet

/// For how long the newest order has not been followed, whatever the reason: it could not be opened, kept or installed. Pure.
///
/// The software of the order before runs on all that time, and looks healthy: after a minute the machine says that it has failed.
struct Patience: Sendable {
    static let longest = TimeSpan.seconds(60)

    private var since: TimeSpan?
    /// It has not been followed for so long that it counts as failed.
    private(set) var isOver = false

    /// When `look` is to be called at the latest.
    var deadline: TimeSpan? { isOver ? nil : since.map { $0 + Self.longest } }

    mutating func look(isHindered: Bool, now: TimeSpan) {
        guard isHindered else { return self = Patience() }
        let since = since ?? now
        self.since = since
        isOver = since + Self.longest <= now
    }
}
