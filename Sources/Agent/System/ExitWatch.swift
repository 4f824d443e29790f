import Dispatch
import Glibc
import OperatingSystem

/// Tells when a process that is not our child ends, such as software that an agent before us started.
enum ExitWatch {
    /// Calls `body` once, on the timers' queue, when the process has ended; at once if it has already.
    static func wait(for process: ProcessIdentity, _ body: @escaping @Sendable () -> Void) {
        let descriptor = KernelCalls.pidfd(process.pid) ?? -1
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
