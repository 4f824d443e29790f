package import Fleet

/// Whoever provides machines.
package protocol MachinePlatform: Sendable {
    /// Returns when the machine was started; that it works, it says itself by registering. A machine that runs already is left as it is.
    func launch(_ request: LaunchRequest) async throws(PlatformError)
    /// Returns when nothing of the machine runs any more; a machine that is not known is gone already.
    func release(_ machine: String) async throws(PlatformError)
    /// The machines that the platform runs now.
    func list() async throws(PlatformError) -> [String]
    /// For one consumer; nothing is dropped.
    var events: AsyncStream<PlatformEvent> { get }
}

package struct LaunchRequest: Hashable, Sendable {
    package var machine: String
    package var group: String
    package var index: Int
    package var labels: [String: String]
    package var ticket: BootTicket

    package init(machine: String, group: String, index: Int, labels: [String: String], ticket: BootTicket) {
        self.machine = machine
        self.group = group
        self.index = index
        self.labels = labels
        self.ticket = ticket
    }
}

package enum PlatformEvent: Hashable, Sendable {
    /// The machine no longer exists, and nobody had asked for its release.
    case gone(machine: String, reason: String)
}

/// Why a platform does not do what it was asked, with what to do about it.
package struct PlatformError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// There is no such platform or driver.
        case unknown
        /// The request itself is wrong.
        case invalid
        /// The platform tried and failed.
        case failed
        /// No answer in time: whether it was done is not known.
        case timedOut
    }

    package var code: Code
    package var message: String

    package var description: String { message }

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// What the operating system said last.
    static func system(_ what: String, _ number: CInt) -> PlatformError {
        PlatformError(.failed, "\(what): \(systemMessage(number))")
    }
}
