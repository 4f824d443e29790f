import Bundles
import Fleet
import FoundationEssentials
import Glibc
import OperatingSystem
import Subprocess
import SystemPackage

/// A started process as it is kept on disk, so that the next agent takes it over.
struct ProcessRecord: Hashable, Sendable, Codable {
    var process: ProcessIdentity
    var job: Job
    var since: Timestamp
    var restarts: Int
    /// The path of the control group that it runs in; nil: none, or of the first agents.
    var group: String?
    /// The files of its machine's group by which it is limited; nil: none. Set again when the next agent takes it over, since a
    /// service manager may have had to take them away to start that one (`ControlGroup.makeWay`).
    var limits: [String: String]?
    /// Its main process has ended well and left others: it is there for as long as its group has one.
    var isInBackground: Bool?

    var controlGroup: ControlGroup? { group.map(ControlGroup.init) }

    /// Whether something of it runs.
    var isAlive: Bool { process.isAlive || (isInBackground == true && controlGroup?.isPopulated == true) }
    /// Keeps what it writes; nil where none could be started.
    var writer: ProcessIdentity?
}

/// Starts the software so that it outlives the agent: a session of its own, and for its output pipes that another process reads.
enum SoftwareProcess {
    static let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// The child's environment, and nothing else is in it.
    static func environment(of job: Job, group: String, machine: String, state: StateDirectory) -> [String: String] {
        let data = state.data(ofSoftware: job.manifest.name)
        var environment = ["PATH": path, "HOME": data, "LANG": "C.UTF-8"]
        environment.merge(job.environment) { _, ordered in ordered }
        environment["TRUNKLINE_GROUP"] = group
        environment["TRUNKLINE_MACHINE"] = machine
        environment["TRUNKLINE_RELEASE"] = state.releases + "/" + job.digest
        environment["TRUNKLINE_DATA"] = data
        environment["TRUNKLINE_RUN"] = state.run
        return environment
    }

    /// Of all variables and arguments together: a quarter of the stack's limit, and never more than the kernel's own.
    private static var mostBytes: Int {
        min(max(sysconf(Int32(_SC_ARG_MAX)), ProcessLimits.longestString), 6 << 20)
    }

    /// Why the kernel would not start a program with it; nil where it would.
    static func fault(of environment: [String: String], arguments: [String]) -> String? {
        ProcessLimits.fault(of: environment, arguments: arguments, atMost: mostBytes)
    }

    /// Runs it to its end, by a launcher that gives it its user. The task must not be cancelled while the software is to go on.
    ///
    /// - Parameter standardOutput: closed here, as is `standardError`, when the program has them or cannot be started.
    /// - Parameter started: told the pid as soon as the program is executed.
    /// - Parameter launcher: the agent's own program, which is found also when its file was replaced meanwhile.
    /// - Returns: how it ended, for people.
    static func run(
        _ command: [String], in directory: String, environment: [String: String], as user: uid_t?,
        capabilities: [String] = [], group: ControlGroup? = nil, limits: [ResourceLimit] = [],
        standardOutput: FileDescriptor, standardError: FileDescriptor, launcher: String = "/proc/self/exe",
        started: @Sendable (Int32) async -> Void
    ) async throws(AgentError) -> Ending {
        let (program, order, socket): (String, LaunchOrder, LaunchSocket)
        do throws(AgentError) {
            guard let first = command.first else { throw AgentError(.bundle, "the manifest names no program to run") }
            program = first
            order = LaunchOrder(
                program: try executable(first, in: directory, environment: environment), arguments: command,
                environment: environment, directory: directory, user: user,
                capabilities: user == nil ? [] : capabilities, group: group?.path, limits: limits)
            socket = try LaunchSocket()
        } catch {
            try? standardOutput.close()
            try? standardError.close()
            throw error
        }
        defer { socket.closeOurs() }
        if let user {
            // So that it may open `/dev/stdout` and `/dev/stderr`, which means to open them anew.
            for output in [standardOutput, standardError] { fchown(output.rawValue, user, user) }
        }
        var options = PlatformOptions()
        options.createSession = true
        do {
            let result = try await Subprocess.run(
                .path(FilePath(launcher)), arguments: [Launcher.argument], environment: launcherEnvironment,
                platformOptions: options, input: .fileDescriptor(socket.theirs, closeAfterSpawningProcess: true),
                output: .fileDescriptor(standardOutput, closeAfterSpawningProcess: true),
                error: .fileDescriptor(standardError, closeAfterSpawningProcess: true)
            ) { execution in
                let why = await socket.exchange(order)
                let pid = Int32(execution.processIdentifier.value)
                // What counts as not started does not run: a launcher that took too long might start it yet.
                if why == nil { await started(pid) } else { kill(pid, SIGKILL) }
                return why
            }
            if let why = result.closureResult { throw AgentError(.system, "cannot start \(program): \(why)") }
            switch result.terminationStatus {
            case .exited(let code): return .exited(Int32(code))
            case .signaled(let signal): return .killed(Int32(signal))
            }
        } catch let error as AgentError {
            throw error
        } catch {
            throw AgentError(.system, "cannot start \(program): \(error)")
        }
    }

    /// Nothing that the software is given, since the launcher begins with the agent's rights; where the agent found its libraries.
    private static let launcherEnvironment = Subprocess.Environment.custom(
        getenv("LD_LIBRARY_PATH").map { ["LD_LIBRARY_PATH": String(cString: $0)] } ?? [:])

    enum Ending: Hashable, Sendable, CustomStringConvertible {
        case exited(Int32)
        case killed(Int32)
        /// It was another agent's child.
        case unknown

        var description: String {
            switch self {
            case .exited(let code): "exited with status \(code)"
            case .killed(let signal): "was ended by signal \(signal)"
            case .unknown: "ended"
            }
        }
    }

    /// `./program` is in the release; a plain name is looked for in the child's path, not in ours.
    private static func executable(
        _ program: String, in directory: String, environment: [String: String]
    ) throws(AgentError) -> String {
        let found: String?
        if program.hasPrefix("/") {
            found = program
        } else if program.contains("/") {
            found = directory + "/" + (program.hasPrefix("./") ? String(program.dropFirst(2)) : program)
        } else {
            found = (environment["PATH"] ?? path).split(separator: ":").map { "\($0)/\(program)" }
                .first { access($0, X_OK) == 0 }
        }
        guard let found else { throw AgentError(.system, "cannot start \(program): there is no such program") }
        if let fault = ProgramFile.fault(ofFile: found) {
            throw AgentError(.system, "cannot start \(program): it \(fault)")
        }
        if let interpreter = ProgramFile.missingInterpreter(ofFile: found, in: directory) {
            throw AgentError(
                .system,
                "cannot start \(program): it needs the interpreter \(interpreter), and it is not on this machine")
        }
        return found
    }
}
