import Foundation
import Glibc
import OperatingSystem
import Synchronization

/// A program that a test runs, in a session of its own, with nothing to read and all that it says at the end of a file.
///
/// Foundation's `Process` looks for open files by copying 256 bytes of each name in /proc/self/fd, also of the last one in its buffer: with 1,365
/// files open it reads behind that, and a test run has died of it.
package final class ChildProcess: Sendable {
    package let pid: Int32
    /// Nil: it runs, and its number is its own.
    private let status = Mutex<Int32?>(nil)

    package init(_ program: String, _ arguments: [String], log: String) throws {
        pid = try DetachedProcess.spawn(
            program, arguments: [program] + arguments, environment: ProcessInfo.processInfo.environment,
            files: [
                .opened("/dev/null", flags: O_RDONLY), .opened(log, flags: O_WRONLY | O_CREAT | O_APPEND, mode: 0o600),
                .same(as: 1),
            ])
    }

    package var isRunning: Bool {
        status.withLock { known in
            guard known == nil else { return false }
            var status: Int32 = 0
            guard waitpid(pid, &status, WNOHANG) != 0 else { return true }
            known = status
            return false
        }
    }
}
