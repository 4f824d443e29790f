import Fleet
import Foundation
import Glibc
import OperatingSystem
import Testing
import TestSupport

@testable import Agent

/// With what Debian's packages bring, as docs/software.md says.
@Suite("Servers as people run them, with a user of their own", .enabled(if: Capabilities.mayChangeUsers, "not root"))
struct RealServerTests {
    /// Runs it, replaces it by the next release and stops it; `uses` asks it something while it runs.
    private func runs(
        start: String, healthy: String, files: [String: String] = [:], main: String,
        uses: (AgentProcess) throws -> Void = { _ in }
    ) async throws {
        var check = SampleBundle.check
        (check.failures, check.timeout) = (100, .seconds(30))
        try await withMachine { manager, agent in
            try agent.start()
            var bundles: [SampleBundle] = []
            for version in ["1", "2"] {
                let bundle = try SampleBundle(
                    version: version, start: start, healthy: healthy, health: check, more: files)
                bundles.append(bundle)
                try await manager.order(bundle, generation: bundles.count)
                let status = try await manager.status("\(main) of release \(version) is well") {
                    $0.state == .running && $0.order == bundles.count && $0.software?.digest == bundle.digest
                        && $0.software?.health == .passing
                }
                #expect(status.software?.restarts == 0)
                try uses(agent)
            }
            let user = try #require(SoftwareUsers().user(of: agent.state))
            #expect(ProcessTable.processes(of: user).contains { Processes.name($0) == main })
            try await manager.order(bundles[1], generation: 3, action: .stop)
            try await manager.status("stopped") { $0.state == .stopped }
            #expect(ProcessTable.processes(of: user).isEmpty)
        }
    }

    /// What the system knows no user for gets a name by this (libnss-wrapper).
    private static let named = """
        export LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_PASSWD="$TRUNKLINE_RUN/passwd" NSS_WRAPPER_GROUP=/etc/group
        """

    @Test(
        "PostgreSQL makes its cluster, which is kept over releases",
        .enabled(
            if: access("/usr/lib/postgresql/15/bin/initdb", X_OK) == 0
                && access("/usr/lib/x86_64-linux-gnu/libnss_wrapper.so", R_OK) == 0,
            "there is no postgresql-15 with libnss-wrapper"))
    func postgresql() async throws {
        var systems: Set<String> = []
        try await runs(
            start: """
                #!/bin/sh
                PATH=/usr/lib/postgresql/15/bin:$PATH
                printf 'postgres:x:%s:%s::%s:/bin/sh\\n' "$(id -u)" "$(id -g)" "$HOME" > "$TRUNKLINE_RUN/passwd"
                \(Self.named)
                test -s "$TRUNKLINE_DATA/main/PG_VERSION" ||
                    initdb --no-sync -A trust -U postgres -D "$TRUNKLINE_DATA/main" || exit
                exec postgres -D "$TRUNKLINE_DATA/main" -c listen_addresses= -c unix_socket_directories="$TRUNKLINE_RUN"
                """,
            healthy: """
                #!/bin/sh
                \(Self.named)
                exec /usr/lib/postgresql/15/bin/pg_isready -q -h "$TRUNKLINE_RUN" -U postgres
                """, main: "postgres"
        ) { agent in
            let control = try Process.output(
                "/usr/lib/postgresql/15/bin/pg_controldata", [agent.path("data/sample/main")])
            systems.insert(
                try #require(control.split(separator: "\n").first { $0.contains("system identifier") }.map(String.init))
            )
        }
        #expect(systems.count == 1)
    }

    @Test(
        "haproxy as master and worker",
        .enabled(if: access("/usr/sbin/haproxy", X_OK) == 0, "there is no haproxy"))
    func haproxy() async throws {
        try await runs(
            start: """
                #!/bin/sh
                exec haproxy -W -f "$TRUNKLINE_RELEASE/haproxy.cfg" -p "$TRUNKLINE_RUN/haproxy.pid"
                """,
            healthy: "#!/bin/sh\ncurl -sf --unix-socket \"$TRUNKLINE_RUN/http\" http://h/healthz | grep -q ready\n",
            files: [
                "haproxy.cfg": """
                global
                    log stdout format raw local0
                    stats socket "${TRUNKLINE_RUN}/admin.sock" mode 660 level admin
                    maxconn 2000
                defaults
                    mode http
                    timeout connect 5s
                    timeout client 50s
                    timeout server 50s
                frontend health
                    bind unix@"${TRUNKLINE_RUN}/http"
                    monitor-uri /healthz

                """
            ], main: "haproxy")
    }
}

extension Process {
    /// What a program that ends well prints.
    fileprivate static func output(_ program: String, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Unexpected("\(program): \(process.terminationStatus)") }
        return text
    }
}
