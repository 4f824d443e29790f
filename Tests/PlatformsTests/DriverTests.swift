import Fleet
import Foundation
import Logging
import Platforms
import Synchronization
import Testing
import TestSupport

@Suite("A driver that misbehaves gives errors that say what to do, and never anything worse")
struct DriverTests {
    /// A driver that reads one request at a time and does `body` with it in `$request` and its number in `$id`.
    private static func reading(_ body: String) -> String {
        """
        #!/bin/sh
        while read -r request; do
            id=$(printf '%s\\n' "$request" | sed 's/.*"id":\\([0-9]*\\).*/\\1/')
            \(body)
        done
        """
    }

    private func withDriver(
        _ text: String, timeout: TimeSpan = .seconds(20),
        logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        _ body: (ExecPlatform, Workspace) async throws -> Void
    ) async throws {
        try await withWorkspace { workspace in
            try workspace.script("drivers/d", text)
            let platform = ExecPlatform(
                name: "d", driver: workspace.drivers + "/d", environment: ["HERE": workspace.root + "/"],
                timeout: timeout,
                logger: logger)
            do { try await body(platform, workspace) } catch {
                await platform.close()
                throw error
            }
            await platform.close()
        }
    }

    @Test("A refusal becomes an error with the driver's own sentence")
    func refusal() async throws {
        let text = Self.reading(#"echo "{\"id\":$id,\"ok\":false,\"error\":\"the quota is used up\"}""#)
        try await withDriver(text) { platform, workspace in
            let error = try await failure { () throws(PlatformError) in try await platform.launch(request("edge-1")) }
            #expect(error == PlatformError(.failed, "The driver \(workspace.drivers)/d refused: the quota is used up"))
        }
    }

    @Test("A request has everything about the machine, on one line")
    func requestLine() async throws {
        let text = Self.reading(#"printf '%s\n' "$request" >> "$HERE/requests"; echo "{\"id\":$id,\"ok\":true}""#)
        try await withDriver(text) { platform, workspace in
            try await platform.launch(request("edge-1", labels: ["site": "den\nver"]))
            try await platform.release("edge-1")
            let lines = try String(contentsOfFile: workspace.root + "/requests", encoding: .utf8)
            #expect(
                lines == #"""
                    {"group":"edge","id":1,"index":0,"labels":{"site":"den\nver"},"machine":"edge-1","op":"launch","ticket":{"broker":"mqtt://127.0.0.1:1883","expires":"2027-01-15T08:00:00.000Z","group":"edge","group_key":"a2V5","machine":"edge-1","root":"trunkline","secret":"c2VjcmV0","ticket":"t-1","v":1,"wire":[2]},"v":1}
                    {"id":2,"machine":"edge-1","op":"release","v":1}

                    """#)
        }
    }

    @Test("A driver that ends at once fails what waits for it, and is started again for the next request")
    func endsAtOnce() async throws {
        let text = """
            #!/bin/sh
            echo x >> "$HERE/lives"
            [ "$(wc -l < "$HERE/lives")" -gt 1 ] || exit 7
            read -r request
            echo '{"id":2,"ok":true,"machines":["edge-1"]}'
            read -r request
            """
        try await withDriver(text) { platform, workspace in
            let error = try await failure { () throws(PlatformError) in try await platform.release("edge-1") }
            #expect(error.code == .unknownOutcome && !error.isCertain)
            #expect(
                error.message.hasPrefix("The driver \(workspace.drivers)/d ended: exited(7); it is started again in "))
            #expect(try await platform.list().running == ["edge-1"])
            let event = try await nextEvent(of: platform.events)
            #expect(event == .driverBack("d"))
        }
    }

    @Test("A driver that is started without a request says what it knows; its first life is no return")
    func started() async throws {
        let text = #"""
            #!/bin/sh
            echo '{"event":"gone","machine":"edge-1","reason":"switched off"}'
            read -r request
            """#
        try await withDriver(text) { platform, _ in
            platform.start()
            platform.start()
            let event = try await nextEvent(of: platform.events)
            #expect(event == .gone(machine: "edge-1", platform: .exec("d"), reason: "switched off"))
        }
    }

    @Test("A driver that does not know what comes of a launch says so; a refusal is certain")
    func uncertain() async throws {
        let text = Self.reading(
            #"echo "{\"id\":$id,\"ok\":false,\"error\":\"the cloud is silent\",\"uncertain\":true}""#)
        try await withDriver(text) { platform, workspace in
            let error = try await failure { () throws(PlatformError) in try await platform.launch(request("edge-1")) }
            #expect(!error.isCertain)
            #expect(
                error.message
                    == "The driver \(workspace.drivers)/d does not know what comes of it: the cloud is silent")
        }
    }

    @Test("A list of ten thousand machines with the longest ids is taken, and what is left of others is told apart")
    func longList() async throws {
        let text = Self.reading(
            #"""
            awk -v id="$id" 'BEGIN { printf "{\"id\":%d,\"ok\":true,\"ended\":[\"edge-1\"],\"machines\":[\"last\"", id
                for (n = 1; n <= 10000; n++) printf ",\"%s-%05d\"", \
                    "aaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefffffff", n; print "]}" }'
            """#)
        try await withDriver(text) { platform, _ in
            let listing = try await platform.list()
            #expect(listing.running.count == 10_001)
            #expect(listing.remains == ["edge-1"])
        }
    }

    @Test("A driver that can't be started is an error, not a wait")
    func notStartable() async throws {
        try await withDriver("#!/nowhere/interpreter") { platform, workspace in
            let error = try await failure { () throws(PlatformError) in try await platform.release("edge-1") }
            #expect(error.isCertain, "it was never there to launch anything")
            #expect(error.message.hasPrefix("The driver \(workspace.drivers)/d "), "\(error)")
        }
    }

    @Test("A driver that never answers runs out of time")
    func silent() async throws {
        let text = Self.reading(":").replacing("while", with: #"echo '{"event":"gone","machine":"up"}'; while"#)
        try await withDriver(text, timeout: .milliseconds(200)) { platform, workspace in
            platform.start()
            _ = try await nextEvent(of: platform.events)
            let error = try await failure { () throws(PlatformError) in try await platform.launch(request("edge-1")) }
            #expect(
                error
                    == PlatformError(
                        .timedOut,
                        "The driver \(workspace.drivers)/d did not answer launch in time; look at its output in the manager's log."
                    ))
        }
    }

    @Test("Garbage is no answer, and the error shows it")
    func garbage() async throws {
        let text = Self.reading("echo; echo '[]'; echo '{\"id\":99,\"ok\":true}'; echo 'Traceback: oh no'")
        try await withDriver(text, timeout: .seconds(2)) { platform, workspace in
            let error = try await failure { () throws(PlatformError) in try await platform.launch(request("edge-1")) }
            #expect(
                error
                    == PlatformError(
                        .timedOut,
                        "The driver \(workspace.drivers)/d did not answer launch in time; "
                            + "it last wrote what is no line of the protocol: Traceback: oh no"))
        }
    }

    @Test("A line without an end is not kept: the driver is ended")
    func endlessLine() async throws {
        try await withDriver("#!/bin/sh\nread -r request\nexec tr '\\0' x < /dev/zero") { platform, _ in
            let error = try await failure { () throws(PlatformError) in try await platform.release("edge-1") }
            #expect(!error.isCertain)
            #expect(error.message.contains("wrote a line of more than 4194304 bytes and was ended"), "\(error)")
        }
    }

    @Test("Answers may come in any order")
    func anyOrder() async throws {
        let text = """
            #!/bin/sh
            read -r first; read -r second
            echo '{"id":2,"ok":true,"machines":["second"]}'
            echo '{"id":1,"ok":true,"machines":["first"]}'
            read -r third
            """
        try await withDriver(text) { platform, _ in
            async let first = platform.list()
            async let second = platform.list()
            let answers = try await [first, second]
            #expect(Set(answers.map(\.running)) == [["first"], ["second"]])
        }
    }

    @Test("Names that are not machine ids are taken from no answer and from no event")
    func hostileNames() async throws {
        let text = Self.reading(
            #"""
            echo '{"event":"gone","machine":"../../etc"}'
            echo '{"event":"gone"}'
            echo '{"event":"other","machine":"edge-1"}'
            echo '{"event":"gone","machine":"edge-1","reason":"switched off"}'
            echo "{\"id\":$id,\"ok\":true,\"machines\":[\"../x\",\"edge-2\",\"\",\"A\"]}"
            """#)
        try await withDriver(text) { platform, _ in
            let listing = try await platform.list()
            #expect(listing == PlatformListing(running: ["edge-2"]))
            let event = try await nextEvent(of: platform.events)
            #expect(event == .gone(machine: "edge-1", platform: .exec("d"), reason: "switched off"))
        }
    }

    @Test("What a driver writes to standard error goes into the log")
    func standardError() async throws {
        let log = LogLines()
        let text = Self.reading(#"echo "the rack is warm" >&2; echo "{\"id\":$id,\"ok\":true}""#)
        try await withDriver(text, logger: Logger(label: "test") { _ in log }) { platform, _ in
            try await platform.release("edge-1")
            #expect(try await eventually { log.lines.contains("the rack is warm") })
        }
    }

    @Test("A driver finds no secret of the manager in its environment, and what it was given")
    func environment() async throws {
        try await withWorkspace { workspace in
            let reply = #"env > "$HERE/env"; echo "{\"id\":$id,\"ok\":true}""#
            try workspace.script("drivers/d", Self.reading(reply))
            let root = workspace.root
            // In a process of its own, whose environment may be changed.
            await #expect(processExitsWith: .success) { [root = root as String] in
                for name in ["TRUNKLINE_MASTER_KEY", "TRUNKLINE_TOKEN", "TRUNKLINE_OTHER"] {
                    setenv(name, "manager's", 1)
                }
                let platform = ExecPlatform(
                    name: "d", driver: root + "/drivers/d", environment: ["HERE": root], logger: Logger(label: "test"))
                try await platform.release("edge-1")
                await platform.close()
            }
            let environment = try String(contentsOfFile: root + "/env", encoding: .utf8)
            #expect(environment.contains("HERE=\(root)\n"))
            #expect(environment.contains("TRUNKLINE_OTHER=manager's\n"))
            #expect(!environment.contains("TRUNKLINE_MASTER_KEY"))
            #expect(!environment.contains("TRUNKLINE_TOKEN"))
        }
    }

    @Test("After close nothing of the driver runs, and requests are refused")
    func close() async throws {
        let text = Self.reading(#"echo $$ > "$HERE/pid"; echo "{\"id\":$id,\"ok\":true}""#)
        try await withDriver(text) { platform, workspace in
            try await platform.release("edge-1")
            let pid = try #require(
                pid_t(try String(contentsOfFile: workspace.root + "/pid", encoding: .utf8).dropLast()))
            #expect(isAlive(pid))
            await platform.close()
            #expect(!isAlive(pid))
            let error = try await failure { () throws(PlatformError) in try await platform.release("edge-1") }
            #expect(error == PlatformError(.failed, "The driver \(workspace.drivers)/d was closed."))
        }
    }
}

/// A log handler that keeps messages.
final class LogLines: LogHandler, Sendable {
    private let kept = Mutex<[String]>([])
    var lines: [String] { kept.withLock { $0 } }

    var logLevel: Logger.Level {
        get { .trace }
        set { _ = newValue }
    }
    var metadata: Logger.Metadata {
        get { [:] }
        set { _ = newValue }
    }
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { nil }
        set { _ = newValue }
    }

    func log(event: LogEvent) {
        kept.withLock { $0.append("\(event.message)") }
    }
}
