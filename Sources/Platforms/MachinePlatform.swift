package import Fleet
import OperatingSystem

/// Whoever provides machines.
package protocol MachinePlatform: Sendable {
    /// Returns when the machine was started; that it works, it says itself by registering. A machine that runs already is left as it is.
    func launch(_ request: LaunchRequest) async throws(PlatformError)
    /// Returns when nothing of the machine runs any more; a machine that is not known is gone already.
    func release(_ machine: String) async throws(PlatformError)
    /// What the platform has at some instant between the call and its return.
    func list() async throws(PlatformError) -> PlatformListing
    /// For one consumer.
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

package struct PlatformListing: Hashable, Sendable {
    /// Machines that run, or are being launched.
    package var running: Set<String>
    /// Machines that do not run, and of which something is left that a release would remove.
    package var remains: Set<String>

    package init(running: Set<String> = [], remains: Set<String> = []) {
        self.running = running
        self.remains = remains.subtracting(running)
    }
}

package enum PlatformEvent: Hashable, Sendable {
    /// The machine no longer exists, and nobody had asked for its release. Worth nothing for a machine of another platform.
    case gone(machine: String, platform: Fleet.Platform, reason: String)
    /// A driver that had died runs again: what it has may not be what it had.
    case driverBack(String)
}

/// Why a platform does not do what it was asked, with what to do about it.
package struct PlatformError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// There is no such platform or driver.
        case unknown
        /// The request itself is wrong.
        case invalid
        /// It was not done, and will not be.
        case failed
        /// No answer in time: whether it was done, or yet will be, is not known.
        case timedOut
        /// The driver died at it, or says so itself: whether it was done is not known.
        case unknownOutcome
    }

    package var code: Code
    package var message: String

    /// Whether nothing came of the request; else only the platform's list can tell.
    package var isCertain: Bool { code != .timedOut && code != .unknownOutcome }

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
