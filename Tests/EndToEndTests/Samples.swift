import Bundles
import Client
import Fleet
import Foundation
import GroupLanguage
import TestSupport

/// Software and records for tests: the real samples in `Config/`, and small scripts where a failure must be provoked.
extension Installation {
    func push(_ name: String, _ client: TrunklineClient) async throws {
        try await push(directory: Self.home.appending(path: "Config/software/\(name)"), client)
    }

    @discardableResult
    func push(directory source: URL, _ client: TrunklineClient) async throws -> SoftwareView {
        let text = try String(contentsOf: source.appending(path: SoftwareManifest.fileName), encoding: .utf8)
        let manifest = try GroupLanguage.software(from: text)
        let packed = directory.appending(path: UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: packed) }
        try BundleWriter.pack(directory: source.path, to: packed)
        return try await client.pushSoftware(manifest.reference, bundleAt: packed)
    }

    /// Pushes software made of these files.
    @discardableResult
    func push(files: [String: String], padding: Int = 0, _ client: TrunklineClient) async throws -> SoftwareView {
        let source = directory.appending(path: "bundle-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: source, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: source) }
        for (name, text) in files {
            let file = source.appending(path: name)
            try text.write(to: file, atomically: true, encoding: .utf8)
            if name.hasSuffix(".sh") {
                try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
            }
        }
        if padding > 0 {
            // Random, so that gzip can't make it small.
            var generator = SystemRandomNumberGenerator()
            let words = (0..<padding / 8).map { _ in generator.next() }
            try words.withUnsafeBytes { Data($0) }.write(to: source.appending(path: "padding.bin"))
        }
        return try await push(directory: source, client)
    }

    /// Software that runs until it is told to stop, and is well while its file `well` is there (made at start).
    static func script(_ name: String, version: String = "1", start: String? = nil, health: Bool = true) -> [String:
        String]
    {
        [
            "software.trunk": """
            software "\(name)" {
              version = "\(version)"
              service = voice
              run     = ["./start.sh"]
              stop    { signal = TERM  timeout = 3s }
              \(health ? "health  { exec = [\"./healthy.sh\"]  every = 200ms  timeout = 5s  failures = 2 }" : "")
            }
            """,
            "start.sh": start ?? """
                #!/bin/sh
                touch "$TRUNKLINE_RUN/well"
                echo "$GREETING" > "$TRUNKLINE_DATA/greeting"
                trap 'exit 0' TERM
                while :; do sleep 1 & wait $!; done
                """,
            "healthy.sh": "#!/bin/sh\ntest -e \"$TRUNKLINE_RUN/well\"\n",
        ]
    }

    /// A record for scripts, with short times so that tests do not wait for long ones.
    static func record(
        _ group: String = "test", software: String, count: Int = 1, platform: String = "local",
        heartbeat: String = "2s",
        rollout: String = "", environment: String = "", rules: String? = nil
    ) -> String {
        """
        group "\(group)" {
          service   = voice
          software  = "\(software)"
          heartbeat = \(heartbeat)
          machines { count = \(count)  min = 0  max = 9  platform = \(platform) }
          env = { \(environment) }
          rollout { settle = 300ms \(rollout) }
          \(rules ?? Self.quickRules)
        }
        """
    }

    static let quickRules = """
        rule "deliver"         { when software.digest != group.digest               then deliver }
          rule "restart failing" { when software.health == failing for 300ms          then restart  at_most = 20 per 10m }
          rule "replace lost"    { when machine.state == away for 500ms               then replace }
        """

    /// A sample group's text on this installation's ports.
    func sample(_ name: String) throws -> String {
        let text = try String(contentsOf: Self.home.appending(path: "Config/groups/\(name).trunk"), encoding: .utf8)
        return text.replacing(/([A-Z]+_PORT\s*=\s*)([0-9]+)/) { match in
            "\(match.1)\((Int(match.2) ?? 0) - 5060 + basePort)"
        }
    }

    /// One of the real clients in `Config/traffic`; what it printed.
    @discardableResult
    func traffic(_ name: String, port: Int, _ arguments: [String] = []) throws -> String {
        let process = Process()
        process.executableURL = Self.home.appending(path: "Config/traffic/\(name)")
        process.arguments = ["127.0.0.1", "\(port)"] + arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Unexpected("\(name) ended with \(process.terminationStatus): \(text)")
        }
        return text
    }
}

extension TrunklineClient {
    /// Waits until every machine of the group is verified.
    @discardableResult
    func converged(_ name: String, within limit: Duration = .seconds(60)) async throws -> GroupView {
        var last: GroupView?
        let converged = try await eventually(within: limit, every: .milliseconds(50)) {
            last = try await group(name)
            return last?.status.phase == .converged
        }
        if converged, let last { return last }
        let machines = try await allMachines(group: name).map {
            "\($0.id) \($0.state) \($0.software?.health.rawValue ?? "-") generation \($0.software?.generation ?? 0)/\($0.generation) \($0.reason ?? "")"
        }
        throw Unexpected("\(name) is \(last.map { "\($0.status)" } ?? "unknown"): \(machines.joined(separator: "; "))")
    }

    func allEvents(group: String? = nil, machine: String? = nil) async throws -> [EventEntry] {
        var events: [EventEntry] = []
        while true {
            let page = try await self.events(group: group, machine: machine, after: events.last?.id ?? 0, limit: 1000)
            events += page.items
            if page.next == nil { return events }
        }
    }
}
