package import Fleet
import Foundation

/// Notifications by a program of the operator's: each as JSON on its standard input, with what a short script needs in its environment.
package struct NotificationProgram: NotificationChannel, Hashable {
    let name = "exec"
    let words: String
    var program: HelperProgram
    var patience = NotificationPatience()

    /// EX_DATAERR: trying it again will not help.
    private static let wrong = 65

    /// - Parameter path: of a program that nobody but its owner may write.
    package init(path: String, timeout: TimeSpan = .seconds(30)) throws {
        program = try HelperProgram(path: path, flag: "--notify-exec")
        program.timeout = timeout
        words = "the program \(path)"
    }

    func send(_ events: [EventEntry]) async -> NotificationOutcome {
        guard let event = events.first else { return .delivered }
        guard let body = event.json else { return .refused("it can't be written as JSON") }
        var variables = [
            "TRUNKLINE_EVENT": "\(event.id)", "TRUNKLINE_KIND": event.kind.rawValue, "TRUNKLINE_ACTOR": event.actor,
            "TRUNKLINE_MESSAGE": event.message,
        ]
        // Empty rather than what the manager itself may have been started with.
        variables["TRUNKLINE_GROUP"] = event.group ?? ""
        variables["TRUNKLINE_MACHINE"] = event.machine ?? ""
        switch await program.run(body + Data("\n".utf8), variables) {
        case .exited(0, _): return .delivered
        case .exited(Self.wrong, let words): return .refused("it ends with \(Self.wrong): \(words)")
        case .exited(let status, let words): return .unreachable("it ends with \(status): \(words)")
        case .failed(let reason): return .unreachable(reason)
        }
    }
}
