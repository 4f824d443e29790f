import FoundationEssentials
import Glibc
import OperatingSystem

/// What is to be done for a machine that will never run again, before its state directory is removed: `--forget`.
enum Forgetting {
    private struct Names: Decodable {
        var machine: String
    }

    /// Ends all that is left of its software, and gives back the user and the directories that it had outside of the state directory.
    static func run(state given: String) async throws(AgentError) {
        guard let resolved = realpath(given, nil) else {
            if errno == ENOENT { return }
            throw .system("find", given)
        }
        let path = String(cString: resolved)
        free(resolved)
        let lock = open(path + "/lock", O_RDWR | O_CLOEXEC)
        defer { if lock >= 0 { close(lock) } }
        guard lock < 0 || flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            throw AgentError(.owned, "an agent runs with \(path): end it first")
        }
        let names: [UInt8]? = WholeFile.read(path + "/machine.json", limit: 4096)
        if let names, let machine = Self.machine(in: names),
            let group = ControlGroup.ofMachine(machine, state: path)
        {
            await ProcessSession.end(group)
            group.remove()
        }
        let user = SoftwareUsers().user(of: path)
        await ProcessSession.sweepStrays(run: (user.map(SoftwareUsers.outside) ?? path) + "/run", user: user)
        SoftwareUsers().giveUp(of: path)
    }

    private static func machine(in json: [UInt8]) -> String? {
        (try? JSONDecoder().decode(Names.self, from: Data(json)))?.machine
    }
}
