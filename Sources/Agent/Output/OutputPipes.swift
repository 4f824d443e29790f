import Glibc
import OperatingSystem
import SystemPackage

/// The two pipes with names that one start of the software writes to.
///
/// The software has them open for reading too: so opening `/dev/stderr` never waits, a writer that is killed takes nobody along with a
/// SIGPIPE, and what was written meanwhile is there for the next one. What is full (1 MiB) makes whoever writes wait, as journald does.
struct OutputPipes: Sendable {
    /// The log's directory.
    let directory: String

    static let names = ["stdout", "stderr"]
    private static let capacity: Int32 = 1 << 20
    /// `F_SETPIPE_SZ`, which Swift's `Glibc` does not show.
    private static let setPipeSize: Int32 = 1031

    /// Fresh ones, in the place of an earlier start's; the caller closes them.
    func make() throws(AgentError) -> (output: FileDescriptor, error: FileDescriptor) {
        let output = try make(Self.names[0])
        do throws(AgentError) { return (output, try make(Self.names[1])) } catch {
            try? output.close()
            throw error
        }
    }

    private func make(_ name: String) throws(AgentError) -> FileDescriptor {
        let path = directory + "/" + name
        ForeignTree.remove(path)
        guard mkfifo(path, 0o600) == 0 else { throw .system("make pipe", path) }
        let descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { throw .system("open", path) }
        // Where the system's limit does not allow it, the pipe is smaller.
        _ = fcntl(descriptor, Self.setPipeSize, Self.capacity)
        return FileDescriptor(rawValue: descriptor)
    }

    /// A process that keeps what comes out of the pipes that are there now.
    ///
    /// - Parameter program: the agent's own, which is found also when its file was replaced meanwhile.
    func startWriter(program: String = "/proc/self/exe") throws(AgentError) -> ProcessIdentity {
        let flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW
        let descriptors =
            Self.names.map { open(directory + "/" + $0, flags) }
            + [open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)]
        defer { for descriptor in descriptors where descriptor >= 0 { close(descriptor) } }
        guard descriptors.allSatisfy({ $0 >= 0 }) else { throw .system("open the pipes in", directory) }
        do throws(SystemError) {
            let pid = try DetachedProcess.spawn(
                program, arguments: ["trunkline-agent", OutputWriter.mode],
                environment: EnvironmentVariable.given.filter { !ServiceManager.variables.contains($0.key) },
                files: [
                    .inherited(descriptors[0]), .inherited(descriptors[1]), .opened("/dev/null", flags: O_WRONLY),
                    .inherited(descriptors[2]),
                ])
            guard let process = ProcessIdentity(pid: pid) else {
                waitpid(pid, nil, WNOHANG)
                throw SystemError("start", "a writer for \(directory)", number: ESRCH)
            }
            return process
        } catch {
            throw AgentError(.system, error.description)
        }
    }
}
