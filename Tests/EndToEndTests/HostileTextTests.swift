import Client
import Fleet
import Foundation
import Simulator
import TestSupport
import Testing

@Suite("What a machine says reaches a person only as text", .serialized)
struct HostileTextTests {
    /// Clears the screen (C0 and C1), sets a title, turns what follows round, and makes rows of its own.
    private static let hostile =
        "dead\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}drowssap\u{2066}\ntest-9  running  soft@1\r\u{2028}x\u{2029}\u{85}y"

    /// What a terminal would obey in it, besides the end of a line.
    private static func obeyed(_ text: String) -> [String] {
        text.unicodeScalars.filter { scalar in
            scalar != "\n"
                && (scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) || scalar.properties.isBidiControl
                    || (0x2028...0x2029).contains(scalar.value))
        }.map { String($0.value, radix: 16) }
    }

    @Test("machine list, show and explain, events and watch, as tables and as JSON, and the manager's log")
    func everywhere() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(
                Installation.record(software: "soft@1", count: 1, platform: "none", heartbeat: "30s"))
            _ = try await client.instruct(group: "test", .start)
            let ticket = try await client.invite(to: "test", InvitationRequest(uses: 1, ttl: .minutes(5)))
            try await Wiretap.with(installation) { tap in
                var machine = PaperMachine("test-xaaaabbbb", ticket: ticket)
                try await tap.say(machine.registration(host: Self.hostile), on: machine.registerTopic)
                #expect(try await eventually { try await client.allMachines(group: "test").count == 1 })
                try await tap.say(
                    machine.rawStatus(
                        sequence: 1, state: .failed, metrics: ["calls\u{1b}[2J": 3, "x\u{202e}\n": 4],
                        reason: Self.hostile),
                    on: machine.statusTopic)
                #expect(try await eventually { try await client.machine(machine.id).state == .failed })
                #expect(try await client.machine(machine.id).reason?.contains("dead\\u{1b}[2J") == true)
                #expect(try await client.machine(machine.id).metrics == ["calls\\u{1b}[2J": 3, "x\\u{202e}\\n": 4])

                for command in [
                    ["machine", "list"], ["machine", "show", machine.id], ["machine", "explain", machine.id],
                    ["events"],
                    ["audit", "list"], ["group", "show", "test"],
                ] {
                    for more in [[], ["--format", "json"], ["--quiet"]] {
                        let shown = try installation.trunkline(command + more)
                        #expect(shown.status == 0)
                        #expect(Self.obeyed(shown.output + shown.error) == [], "\(command + more)")
                        #expect(!shown.output.split(separator: "\n").contains { $0.hasPrefix("test-9") })
                    }
                }
                let list = try installation.trunkline("machine", "list").output
                #expect(list.split(separator: "\n").count == 2 && list.contains("drowssap"))
                let log = try String(
                    contentsOf: installation.directory.appending(path: "manager.log"), encoding: .utf8)
                #expect(Self.obeyed(log) == [])
            }
        }
    }
}
