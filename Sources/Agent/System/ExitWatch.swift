import Dispatch
import Glibc

/// Tells when a process that is not our child ends, such as software that an agent before us started.
enum ExitWatch {
    /// Glibc has `pidfd_open` since 2.36, but Swift's module of it does not, and `syscall` is variadic: it is looked up by name.
    private typealias Open = @convention(c) (pid_t, UInt32) -> Int32
    private static let open: Open? = {
        guard let symbol = dlsym(nil, "pidfd_open") else { return nil }
        return unsafeBitCast(symbol, to: Open.self)
    }()

    /// Calls `body` once, on the timers' queue, when the process has ended; at once if it has already.
    static func wait(for process: ProcessIdentity, _ body: @escaping @Sendable () -> Void) {
        let descriptor = open?(process.pid, 0) ?? -1
        // The descriptor may name another process that got the pid just now: compared again once it is open.
        guard process.isAlive else {
            if descriptor >= 0 { close(descriptor) }
            AgentQueues.timers.async(execute: body)
            return
        }
        guard descriptor >= 0 else {
            // A kernel or a sandbox without pidfd: look four times a second.
            AgentQueues.timers.asyncAfter(deadline: .now() + .milliseconds(250)) { wait(for: process, body) }
            return
        }
        let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: AgentQueues.timers)
        // The handler keeps the source until it is cancelled.
        source.setEventHandler {
            source.cancel()
            body()
        }
        source.setCancelHandler { close(descriptor) }
        source.resume()
    }
}
