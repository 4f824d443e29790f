import Client
import Fleet
import Foundation
import OperatingSystem
import TestSupport
import Testing

@Suite("Software beside the manager", .enabled(if: Capabilities.mayChangeUsers, "only root may change users"))
struct IsolationTests {
    @Test("Software of a local machine reaches neither the manager's directory nor its process, and leaves nothing")
    func local() async throws {
        try await Installation.with { installation, client in
            let start = """
                #!/bin/sh
                try() { if sh -c "$2" >/dev/null 2>&1; then echo "done $1"; else echo "refused $1"; fi >> "$TRUNKLINE_DATA/attempts.new"; }
                : > "$TRUNKLINE_DATA/attempts.new"
                try "list" "ls '$SITE'"
                try "read the master key" "cat '$SITE/master.key'"
                try "read the authority's key" "cat '$SITE/ca/ca.key'"
                try "read the admin token" "cat '$SITE/admin.token'"
                try "read the records" "cat '$SITE/trunkline.sqlite'"
                try "list machines" "ls '$SITE/machines'"
                try "write" "touch '$SITE/mine'"
                try "read the manager's environment" "cat /proc/$MANAGER/environ"
                try "signal the manager" "kill -0 $MANAGER"
                try "read itself" "cat '$TRUNKLINE_RELEASE/start.sh'"
                mv "$TRUNKLINE_DATA/attempts.new" "$TRUNKLINE_DATA/attempts"
                touch "$TRUNKLINE_RUN/well"
                trap 'exit 0' TERM
                while :; do sleep 1 & wait $!; done
                """
            try await installation.push(files: Installation.script("soft", start: start), client)
            let manager = installation.managerPid
            _ = try await client.createGroup(
                Installation.record(
                    software: "soft@1", environment: "SITE = \"\(installation.data)\"  MANAGER = \(manager)"))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            let machine = try #require(try await client.allMachines(group: "test").first)
            #expect(machine.isolation == .user && machine.facts?.isolation == .user)
            let state = "\(installation.data)/machines/\(machine.id)/state"
            let attempts = try String(contentsOfFile: state + "/data/soft/attempts", encoding: .utf8)
            let lines = attempts.split(separator: "\n").map(String.init)
            #expect(lines.count == 10 && lines.last == "done read itself")
            #expect(lines.dropLast().filter { !$0.hasPrefix("refused ") } == [])
            // What it has outside of the manager's directory goes with it.
            let data = URL(filePath: state + "/data").resolvingSymlinksInPath().path
            let user = try #require(SoftwareUsers().user(of: state))
            #expect(data == SoftwareUsers.outside(user) + "/data")
            _ = try await client.removeGroup("test", force: true)
            let isGone = try await eventually(within: .seconds(30)) {
                !FileManager.default.fileExists(atPath: SoftwareUsers.outside(user))
            }
            #expect(isGone)
            #expect(ProcessTable.processes(of: user) == [])
        }
    }
}
