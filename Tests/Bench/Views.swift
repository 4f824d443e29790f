import Client
import Fleet
import Foundation
import Simulator
import TestSupport

/// What people who look at a large fleet wait for, and what it costs while they look.
func viewRows(_ site: Site, machines count: Int) async throws -> [Row] {
    let name = "\(count) machines"
    _ = try await site.push("fleet", version: "1")
    let ticket = try await site.group("fleet", software: "fleet@1", count: count, heartbeat: "10s")
    let fleet = try SimulatedFleet(.init(ticket: ticket, behaviours: Array(repeating: .steady, count: count), seed: 1))
    do {
        try await fleet.start()
        try await all(of: fleet, "run") { $0.settled == count }
        try await site.rest()
        let rows = try await lists(site, name, count) + watch(site, name)
        try await fleet.end()
        return rows
    } catch {
        try? await fleet.end()
        throw error
    }
}

private func lists(_ site: Site, _ name: String, _ count: Int) async throws -> [Row] {
    func time(_ arguments: [String]) async throws -> Duration {
        let start = ContinuousClock.now
        let program = try Spawned(
            try Site.program("trunkline"), arguments + ["--data", site.directory.path + "/data"],
            log: site.directory.appending(path: "client.log"))
        guard program.waited() == 0 else { throw BenchError("trunkline \(arguments.joined(separator: " ")) failed") }
        return .now - start
    }
    return [
        Row("\(name), trunkline machine list", try await time(["machine", "list"]), .seconds, goal: .atMost(1)),
        Row("\(name), trunkline status", try await time(["status"]), .seconds),
        Row("\(name), the newest 1000 events", try await time(["events", "--limit", "1000"]), .seconds),
    ]
}

/// On a terminal, as a person has it.
private func watch(_ site: Site, _ name: String) async throws -> [Row] {
    let log = site.directory.appending(path: "watch.log")
    let start = ContinuousClock.now
    let terminal = try Spawned(
        URL(filePath: "/usr/bin/script"),
        [
            "-qfc",
            "stty rows 50 cols 160; exec '\(try Site.program("trunkline").path)' watch --data '\(site.directory.path)/data'",
            log.path,
        ], log: site.directory.appending(path: "script.log"),
        environment: ["PATH": "/usr/bin:/bin", "TERM": "xterm-256color", "SHELL": "/bin/sh"], isTyped: true)
    defer { terminal.end() }
    let isThere = try await eventually(within: .seconds(60), every: .milliseconds(5)) {
        // A machine's line, behind what `script` writes first.
        (try? Data(contentsOf: log))?.range(of: Data("fleet-".utf8), in: nil) != nil
    }
    guard isThere else { throw BenchError("trunkline watch shows nothing") }
    let first = ContinuousClock.now - start
    guard let client = Children.first(of: terminal.pid) else { throw BenchError("no client runs on the terminal") }
    try await site.rest()
    let size = try Data(contentsOf: log).count
    let (own, manager, since) = (try CPU(of: client), try CPU(of: site.manager), ContinuousClock.now)
    try await Task.sleep(for: .seconds(10))
    let span = ContinuousClock.now - since
    let (used, served) = (try CPU(of: client).since(own), try CPU(of: site.manager).since(manager))
    let written = Double(try Data(contentsOf: log).count - size) / 1024 / span.inSeconds
    return [
        Row("\(name), trunkline watch: first frame", first, .seconds, goal: .atMost(1)),
        Row("\(name), trunkline watch: of a core", 100 * (used / span), .percent, goal: .atMost(2)),
        Row("\(name), trunkline watch: the manager meanwhile, of a core", 100 * (served / span), .percent),
        Row("\(name), trunkline watch: to the terminal each second", written, .kibibytes),
    ]
}

private enum Children {
    static func first(of parent: Int32) -> Int32? {
        let path = "/proc/\(parent)/task/\(parent)/children"
        return (try? String(contentsOfFile: path, encoding: .utf8))?.split(separator: " ").first.flatMap { Int32($0) }
    }
}
