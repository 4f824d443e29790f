import Fleet
import FoundationEssentials
import Glibc
import OperatingSystem

/// The agent's directory: what it must not forget. One agent owns it at a time.
///
/// Every file is 0600 and written atomically. The directory is 0700, since keys and secrets are in it, or 0711 where the software's
/// directories are in it too.
struct StateDirectory: Sendable {
    /// Absolute, without links, since software runs in other directories.
    let path: String
    let software: SoftwareHome
    private let lock: Int32

    enum File: String, CaseIterable {
        case ticket = "ticket.json"
        case machine = "machine.json"
        case key = "security.key"
        case identityCopy = "identity.copy"
        case statusKey = "status.key"
        case transportKey = "transport.key"
        case certificate = "certificate.pem"
        case trust = "trust.pem"
        case groupKeys = "group.key"
        case registration = "registration.json"
        case session = "session"
        case order = "order.json"
        case plan = "plan.json"
        case process = "process.json"
        case dismissal = "dismissed.json"
        case agent = "agent.json"
    }

    /// Makes the directory where it is missing, and locks it until the process ends.
    init(
        at given: String, isolation: IsolationWish = .none, users: SoftwareUsers = SoftwareUsers()
    ) throws(AgentError) {
        let isOurs = FileStatus(following: given) == nil
        try DirectoryTree.make(given)
        guard let resolved = realpath(given, nil) else { throw .system("find", given) }
        path = String(cString: resolved)
        free(resolved)
        if !isOurs { try Self.requireSafe(path) }
        lock = try Self.lock(path)
        // A process that an agent was just starting when it ended has the lock until it is executed.
        var attempts = 0
        while flock(lock, LOCK_EX | LOCK_NB) != 0 {
            attempts += 1
            guard attempts < 20 else { throw AgentError(.owned, "another agent owns \(path)") }
            usleep(50_000)
        }
        software = try SoftwareHome(state: path, wish: isolation, users: users)
        for directory in ["bundles", "log"] {
            do throws(SystemError) { try ForeignTree.directory(path + "/" + directory, mode: 0o700, owner: nil) } catch
            {
                throw AgentError(.system, error.description)
            }
        }
    }

    /// One that was there before is taken as it is: its mode is its owner's business, as long as nobody else can write in it.
    private static func requireSafe(_ path: String) throws(AgentError) {
        guard let status = FileStatus(following: path), status.kind == .directory else {
            throw AgentError(.state, "\(path) is not a directory")
        }
        guard status.owner == geteuid() else {
            throw AgentError(
                .state,
                "\(path) belongs to user \(status.owner), and this agent is \(geteuid()): give it a directory of its own with --state"
            )
        }
        guard status.permissions & 0o022 == 0 else {
            throw AgentError(
                .state,
                "others can write in \(path), and keys are to be in it: give the agent a directory of its own with --state, or take that right away (chmod go-w)"
            )
        }
        guard !DirectoryTree.exists(path + "/lock") else { return }
        // Those of all agents of this host, where that is the place for them and another one was here before.
        let shared = path == SoftwareUsers.home ? ["software", "users"] : []
        let strange = Set(DirectoryTree.names(in: path)).subtracting(File.allCases.map(\.rawValue) + shared).sorted()
        guard strange.isEmpty else {
            throw AgentError(
                .state,
                "\(path) has other things in it than an agent's state (\(strange[0].forPeople(atMost: 60))): give the agent a directory of its own with --state"
            )
        }
    }

    /// Closed on exec: software that outlives the agent must not keep the lock. On a disk that can only be read it is taken, too: what runs is
    /// watched and reported all the same.
    private static func lock(_ path: String) throws(AgentError) -> Int32 {
        var lock = open(path + "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        if lock < 0, errno == EROFS { lock = open(path + "/lock", O_RDONLY | O_CLOEXEC) }
        guard lock >= 0 else { throw .system("open", path + "/lock") }
        return lock
    }

    /// For the next agent, which owns it from now on.
    func letGo() { close(lock) }

    var bundles: String { path + "/bundles" }
    var releases: String { software.releases }
    var log: String { path + "/log" }
    var run: String { software.run }
    func data(ofSoftware name: String) -> String { software.data + "/" + name }
    func file(_ file: File) -> String { path + "/" + file.rawValue }

    func read(_ file: File) throws(AgentError) -> Data? { try AtomicFile.read(self.file(file)) }
    func write(_ data: Data, to file: File) throws(AgentError) { try AtomicFile.write(data, to: self.file(file)) }

    /// Nil when there is no such file.
    func value<Value: Decodable>(_ type: Value.Type = Value.self, from file: File) throws(AgentError) -> Value? {
        guard let content = try read(file) else { return nil }
        do {
            return try JSONDecoder().decode(type, from: content)
        } catch {
            throw AgentError(.state, "\(self.file(file)) is damaged: \(error)")
        }
    }

    func save(_ value: some Encodable, to file: File) throws(AgentError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let content: Data
        do { content = try encoder.encode(value) } catch { throw AgentError(.state, "\(error)") }
        try write(content, to: file)
    }

    func remove(_ file: File) { unlink(self.file(file)) }
}
