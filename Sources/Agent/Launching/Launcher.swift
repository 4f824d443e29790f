import FoundationEssentials
import Glibc
import OperatingSystem

/// `trunkline-agent run-as`: a fresh process that reads a launch order from its standard input and becomes that program, with the
/// control group, limits, user and capabilities that it is to have. Its process id stays the same.
///
/// The socket closes when the program has been executed; what comes out of it before is why it was not.
enum Launcher {
    static let argument = "run-as"
    /// As shells have it for what cannot be executed.
    static let failed: Int32 = 127

    /// Returns only where the program cannot be started.
    static func run() -> Int32 {
        // Closed by exec.
        let socket = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
        guard socket >= 0 else { return failed }
        let why = start(socket)
        let bytes = Array(why.utf8)
        _ = send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        return failed
    }

    private static func start(_ socket: Int32) -> String {
        let order: LaunchOrder
        do { order = try JSONDecoder().decode(LaunchOrder.self, from: readAll(socket)) } catch {
            return "its launch order cannot be read: \(error)"
        }
        func failure(_ what: String) -> String { "cannot \(what): \(systemMessage(errno))" }
        let nothing = open("/dev/null", O_RDONLY)
        guard nothing >= 0, dup2(nothing, STDIN_FILENO) >= 0 else { return failure("open /dev/null") }
        if nothing != STDIN_FILENO { close(nothing) }
        if let group = order.group, let why = join(group) { return why }
        for limit in order.limits where !limit.apply() { return failure("limit its \(limit.resource.rawValue)") }
        if let user = order.user, let what = Capabilities.become(user, keeping: order.capabilities) {
            return failure(what)
        }
        guard Capabilities.renounceNewPrivileges() else { return failure("renounce new privileges") }
        guard chdir(order.directory) == 0 else { return failure("enter \(order.directory)") }
        withStrings(order.arguments) { arguments in
            withStrings(order.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }) { environment in
                _ = execve(order.program, arguments, environment)
            }
        }
        return systemMessage(errno)
    }

    private static func join(_ group: String) -> String? {
        let descriptor = open(group + "/cgroup.procs", O_WRONLY | O_CLOEXEC)
        defer { if descriptor >= 0 { close(descriptor) } }
        guard descriptor >= 0, write(descriptor, "0", 1) == 1 else {
            return "cannot join its control group: \(systemMessage(errno))"
        }
        return nil
    }

    private static func readAll(_ socket: Int32) -> Data {
        var content = Data()
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(socket, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return content }
            content.append(contentsOf: buffer[..<count])
        }
    }

    private static func withStrings(_ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Void) {
        let pointers = strings.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        body(pointers + [nil])
    }
}
