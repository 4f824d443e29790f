import Fleet

/// Whether software that is up takes new work, as far as its hooks have made it so. Pure; the supervisor runs the hooks.
///
/// One hook at a time, each tried again until it ends well or the opposite is wanted. That it drains is said as soon as the hook has ended
/// well; metrics stand beside it only of a probe that began after that, so that nobody takes older ones for what it still does.
struct Intake: Equatable, Sendable {
    enum Hook: String, Hashable, Sendable { case drain, undrain }

    /// What the last hook that ended well made of it.
    enum Position: Equatable, Sendable {
        case open, closed
        /// A hook has begun and has not ended well, perhaps under an agent before this one.
        case unknown
    }

    /// Between the end of the drain hook and metrics that show it.
    private enum Measuring: Equatable, Sendable {
        /// The probe that is under way began too early.
        case after, next, done
    }

    private(set) var isToClose: Bool
    private(set) var position: Position
    /// When the next hook is to run; nil while one runs, and where none is needed.
    private(set) var next: TimeSpan?
    /// Of the last hook that failed, until one ends well.
    private(set) var trouble: String?
    private var measuring = Measuring.next
    private var running: Hook?
    private var failures = 0

    static let firstBackoff = TimeSpan.seconds(1)
    static let longestBackoff = TimeSpan.seconds(60)

    /// - Parameter position: what it is now: open in software that has just started.
    init(isToClose: Bool = false, position: Position = .open, now: TimeSpan) {
        self.isToClose = isToClose
        self.position = position
        if needed != nil { next = now }
    }

    /// Whether it takes no new work, or is about to take it again.
    var isDraining: Bool { isToClose ? position == .closed : isOpening }

    /// Whether what was measured last says nothing of what it does now.
    var isUnmeasured: Bool { isOpening || isToClose && position == .closed && measuring != .done }

    /// Whether it may take new work again at any moment.
    private var isOpening: Bool { !isToClose && position != .open }

    /// Whether nothing was done to it that a hook would have to undo.
    var isUntouched: Bool { position == .open && running == nil }

    /// The hook that brings it where it is to be.
    private var needed: Hook? {
        switch position {
        case .open: isToClose ? .drain : nil
        case .closed: isToClose ? nil : .undrain
        case .unknown: isToClose ? .drain : .undrain
        }
    }

    mutating func want(closed: Bool, now: TimeSpan) {
        guard closed != isToClose else { return }
        isToClose = closed
        trouble = nil
        failures = 0
        if running == nil { next = needed == nil ? nil : now }
    }

    /// The hook to run now.
    mutating func due(now: TimeSpan) -> Hook? {
        guard running == nil, let at = next, at <= now, let hook = needed else { return nil }
        (running, next, position) = (hook, nil, .unknown)
        return hook
    }

    /// A hook has ended.
    ///
    /// - Parameters:
    ///   - failure: nil: it ended well.
    ///   - isProbing: whether a probe is under way, which began before this.
    ///   - hasProbe: whether there is one at all.
    mutating func ended(_ hook: Hook, failure: String?, isProbing: Bool, hasProbe: Bool, now: TimeSpan) {
        guard running == hook else { return }
        running = nil
        if let failure {
            failures += 1
            let doublings = Int64(min(failures - 1, 10))
            // What failed does not matter any more where the opposite is wanted.
            let isWanted = hook == needed
            trouble = isWanted ? failure : nil
            next = isWanted ? now + min(Self.firstBackoff * (1 << doublings), Self.longestBackoff) : now
            return
        }
        failures = 0
        trouble = nil
        position = hook == .drain ? .closed : .open
        measuring = !hasProbe ? .done : isProbing ? .after : .next
        next = needed == nil ? nil : now
    }

    /// Nothing can take back what its drain hook did.
    mutating func stays(_ why: String) {
        (running, next, position) = (nil, nil, .open)
        trouble = why
    }

    /// Whether a probe is to begin at once.
    var awaitsProbe: Bool { isToClose && position == .closed && measuring == .next }

    /// A probe has ended; what it found, if it ended well, is what is reported from now on.
    ///
    /// - Returns: whether another one is to begin at once, since this one began too early.
    mutating func probed(well: Bool) -> Bool {
        switch measuring {
        case .after:
            measuring = .next
            return awaitsProbe
        case .next where position == .closed && well: measuring = .done
        case .next, .done: break
        }
        return false
    }
}
