import Client
import Fleet
import Foundation
import Testing

/// Who is there at one time and what runs on it: what must be the same afterwards where nothing but the manager, its broker and the
/// network had trouble.
struct Census: Sendable {
    struct Machine: Sendable, Hashable {
        var id: String
        var group: String
        var generation: Int
        /// The processes of its software, checks left out.
        var processes: Set<Int32>
        var digest: String?
    }

    var machines: [Machine]

    /// - Parameter program: a word in the command line of what the software runs.
    init(of installation: Installation, _ client: TrunklineClient, program: String) async throws {
        let views = try await client.allMachines(group: nil)
        let here = Processes.mentioning(installation.directory.path)
        machines = views.map { view in
            Machine(
                id: view.id, group: view.group, generation: view.generation,
                processes: Set(here.filter { Self.runs($0, program, on: view.id) }), digest: view.software?.digest)
        }.sorted { $0.id < $1.id }
    }

    private static func runs(_ pid: Int32, _ program: String, on machine: String) -> Bool {
        let environment = FileManager.default.contents(atPath: "/proc/\(pid)/environ") ?? Data()
        let command = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
        return environment.range(of: Data("TRUNKLINE_MACHINE=\(machine)\0".utf8)) != nil
            && command.range(of: Data(program.utf8)) != nil
    }

    /// What happened to machines since that nobody had asked for; `harmed`: those that the test itself did something to.
    func losses(until now: Census, harmed: Set<String> = []) -> [String] {
        var losses: [String] = []
        for machine in machines where !harmed.contains(machine.id) {
            guard let after = now.machines.first(where: { $0.id == machine.id }) else {
                losses.append("\(machine.id) was given up")
                continue
            }
            if after.generation != machine.generation {
                losses.append("\(machine.id) was ordered anew: \(machine.generation), then \(after.generation)")
            }
            let gone = machine.processes.subtracting(after.processes)
            if !gone.isEmpty {
                losses.append("\(machine.id) lost \(gone.count) of \(machine.processes.count) processes")
            }
            if after.digest != machine.digest { losses.append("\(machine.id) runs something else") }
        }
        let added = Set(now.machines.map(\.id)).subtracting(machines.map(\.id))
        if added.count > harmed.count { losses.append("new are \(added.sorted().joined(separator: ", "))") }
        return losses
    }
}
