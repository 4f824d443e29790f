import Fleet
import Foundation
import Logging
import Platforms
import Testing
import TestSupport

/// A directory for one test, with a stand-in for `trunkline-agent` in it; cleaned up with everything that still runs in it.
struct Workspace: Sendable {
    let root: String

    init() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "platforms-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path + "/notes", withIntermediateDirectories: true)
        let resolved = try #require(realpath(path, nil))
        defer { free(resolved) }
        root = String(cString: resolved)
        try script("agent", Self.standIn)
    }

    var agent: String { root + "/agent" }
    var machines: String { root + "/machines" }
    var drivers: String { root + "/drivers" }

    /// Like the agent, it runs its software in a session of its own with the machine's variables and nothing else in its
    /// environment, and stops it on SIGTERM; unlike it, it does as `STAND_IN` says.
    private static let standIn = """
        #!/bin/sh
        case "$*" in *--forget*) exit 0 ;; esac
        state=$4
        machine=$(basename "$(dirname "$state")")
        echo $$ >> "$STAND_IN_NOTES/$machine.starts"
        echo "$*"
        if [ "$STAND_IN" = failing ]; then
            echo "the broker can't be found" >&2
            exit 3
        fi
        env -i PATH="$PATH" TRUNKLINE_MACHINE="$machine" TRUNKLINE_RELEASE="$state/releases/1" setsid sleep 1000 &
        software=$!
        if [ "$STAND_IN" = stubborn ]; then
            trap '' TERM
        else
            trap 'kill $software; echo stopped > "$STAND_IN_NOTES/$machine.farewell"; exit 0' TERM
        fi
        echo "$software" > "$STAND_IN_NOTES/$machine.software.new"
        mv "$STAND_IN_NOTES/$machine.software.new" "$STAND_IN_NOTES/$machine.software"
        while :; do wait "$software"; done
        """

    func script(_ name: String, _ text: String) throws {
        let path = "\(root)/\(name)"
        try FileManager.default.createDirectory(
            atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try Data((text + "\n").utf8).write(to: URL(filePath: path + ".text"))
        // Copied by another process: a child that is forked by another test while this one has the file open for writing keeps it so
        // for a moment, and what is open for writing can't be executed (ETXTBSY).
        let copy = try Process.run(
            URL(filePath: "/usr/bin/install"), arguments: ["-m", "755", path + ".text", path])
        copy.waitUntilExit()
        try #require(copy.terminationStatus == 0)
        try FileManager.default.removeItem(atPath: path + ".text")
    }

    func environment(standIn: String = "") -> [String: String] {
        ["STAND_IN": standIn, "STAND_IN_NOTES": root + "/notes"]
    }

    func local(
        standIn: String = "", agent: String? = nil, directory: String? = nil, stopTimeout: TimeSpan = .seconds(20),
        allowsNoIsolation: Bool = true, isolates: Bool = true
    ) throws -> LocalPlatform {
        try LocalPlatform(
            agent: agent ?? self.agent, directory: directory ?? machines, environment: environment(standIn: standIn),
            stopTimeout: stopTimeout, allowsNoIsolation: allowsNoIsolation, isolates: isolates,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    // MARK: - What the stand-in noted

    func note(_ name: String) -> String? { try? String(contentsOfFile: "\(root)/notes/\(name)", encoding: .utf8) }

    /// The process of every start of the machine's agent, in order.
    func starts(_ machine: String) -> [pid_t] {
        (note("\(machine).starts") ?? "").split(separator: "\n").compactMap { pid_t($0) }
    }

    /// The machine's agent and software, once the agent has set itself up.
    func running(_ machine: String) async throws -> (agent: pid_t, software: pid_t) {
        let isUp = try await eventually { note("\(machine).software") != nil }
        try #require(isUp, "the agent of \(machine) does not come up")
        let software = try #require(note("\(machine).software").flatMap { pid_t($0.dropLast()) })
        return (try #require(starts(machine).last), software)
    }

    func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: "\(root)/\(path)") }

    /// Ends what a failed test left running, and removes the directory.
    func cleanUp() {
        let needle = Array("=\(root)/".utf8)
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let process = pid_t(name), process != getpid(),
                let environment = FileManager.default.contents(atPath: "/proc/\(name)/environ"),
                environment.firstRange(of: needle) != nil
            else { continue }
            kill(process, SIGKILL)
        }
        try? FileManager.default.removeItem(atPath: root)
    }
}

/// Whether the process is there and no zombie.
func isAlive(_ process: pid_t) -> Bool {
    guard let stat = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
        let end = stat.lastIndex(of: ")")
    else { return false }
    return !["Z", "X"].contains(stat[end...].dropFirst(2).prefix(1))
}

func withWorkspace(_ body: (Workspace) async throws -> Void) async throws {
    let workspace = try Workspace()
    defer { workspace.cleanUp() }
    try await body(workspace)
}

/// A request for a machine of the group `edge`.
func request(_ machine: String, labels: [String: String] = [:]) -> LaunchRequest {
    LaunchRequest(
        machine: machine, group: "edge", index: 0, labels: labels,
        ticket: BootTicket(
            group: "edge", machine: machine, broker: "mqtt://127.0.0.1:1883", root: "trunkline", groupKey: "a2V5",
            ticket: "t-1", secret: "c2VjcmV0", expires: Timestamp(milliseconds: 1_800_000_000_000)))
}

/// The next event; fails rather than waits for ever.
func nextEvent(of events: AsyncStream<PlatformEvent>) async throws -> PlatformEvent {
    let event = try await withThrowingTaskGroup(of: PlatformEvent?.self) { group in
        group.addTask { await events.first { _ in true } }
        group.addTask {
            try await Task.sleep(for: .seconds(20))
            return nil
        }
        defer { group.cancelAll() }
        return try await group.next() ?? nil
    }
    return try #require(event, "no event came")
}

/// The error that `body` must throw.
func failure(_ body: () async throws(PlatformError) -> Void) async throws -> PlatformError {
    do { try await body() } catch { return error }
    Issue.record("nothing was thrown")
    return PlatformError(.failed, "")
}
