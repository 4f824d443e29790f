import Client
import Fleet
import Foundation
import GRDB
import TestSupport
import Testing

@Suite("Tokens, the audit log and the master key, from the command line", .serialized)
struct AccessTests {
    @Test("A token is made, used, listed and revoked; who has a small one is told what it lacks")
    func tokens() async throws {
        try await Installation.with { installation, _ in
            let made = try installation.trunkline(
                "token", "create", "night-shift", "--role", "operator", "--groups", "edge-*", "--ttl", "30d", "--quiet")
            let token = made.output.trimmingCharacters(in: .newlines)
            #expect(made.status == 0 && token.hasPrefix("trunkline-"), "\(made.error)")
            #expect(made.error.contains("not shown again"))
            #expect(try installation.curl("GET", "/v1/groups", token: token).status == 200)
            let refused = try installation.trunkline("secret", "list", "--token", token)
            #expect(refused.status == 1 && refused.error.contains("needs the role editor"), "\(refused.error)")
            let list = try installation.trunkline("token", "list")
            #expect(
                list.output.contains("night-shift") && list.output.contains("edge-*") && !list.output.contains(token))
            let json = try installation.trunkline("token", "list", "--format", "json")
            #expect(try JSONDecoder().decode([TokenView].self, from: Data(json.output.utf8)).count == 2)
            #expect(try installation.trunkline("token", "revoke", "night-shift", "--yes").status == 0)
            #expect(try installation.curl("GET", "/v1/groups", token: token).status == 401)
            let last = try installation.trunkline("token", "revoke", "admin", "--yes")
            #expect(last.status == 1 && last.error.contains("last admin token"))
            #expect(try installation.trunkline("token", "create", "a", "--role", "king").status == 2)
        }
    }

    @Test("Wrong tokens make an address wait, also with the right one, and nobody has to restart anything after it")
    func guessing() async throws {
        try await Installation.with { installation, client in
            for _ in 0..<10 { #expect(try installation.curl("GET", "/v1/groups", token: "guess").status == 401) }
            let answer = try installation.curl("GET", "/v1/groups")
            #expect(answer.status == 429 && Int(answer.header("Retry-After") ?? "") != nil)
            #expect(try await eventually { try installation.curl("GET", "/v1/groups").status == 200 })
        }
    }

    @Test("The audit log says who did what, and verify names the line that somebody changed and ends with 1")
    func audit() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1"))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            let lines = try installation.trunkline("audit", "list").output.split(separator: "\n")
            for (what, who) in [
                ("group.started", "user admin, 127.0.0.1"), ("machine.registered", "machine test-1, broker"),
                ("machine.verified", "machine test-1, broker"),
            ] {
                #expect(lines.contains { $0.contains(what) && $0.contains(who) }, "\(what)")
            }
            let good = try installation.trunkline("audit", "verify", "--format", "json")
            #expect(good.status == 0 && good.output.contains("\"ok\" : true"), "\(good.output) \(good.error)")
            let database = try DatabaseQueue(path: installation.data + "/trunkline.sqlite")
            try await database.write { try $0.execute(sql: "DELETE FROM audit WHERE seq = 4") }
            let bad = try installation.trunkline("audit", "verify")
            #expect(bad.status == 1 && bad.error.contains("line 4 is missing"), "\(bad.error)")
        }
    }

    @Test("The master key is replaced under running software, which does not notice, and over kill -9 at any moment")
    func rotation() async throws {
        try await Installation.with { installation, client in
            _ = try installation.trunkline("secret", "set", "sip", input: "s3cret\n")
            try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1"))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            let software = Processes.software(of: "test-1", in: installation)
            #expect(!software.isEmpty)
            let rotated = try installation.trunkline("key", "rotate", "master")
            #expect(rotated.status == 0 && rotated.error.contains("back up"), "\(rotated.error)")

            for round in 0..<6 {
                let asked = Task.detached {
                    // It is killed under its hands; whether it got an answer does not matter.
                    _ = try? await installation.withClient { try await $0.rotateMasterKey() }
                }
                try await Task.sleep(for: .milliseconds(round * 4))
                installation.killManager()
                await asked.value
                try await installation.startManager()
                #expect(try installation.trunkline("audit", "verify").status == 0)
            }
            // Everything still opens: the group's key, the machine's status key, and what a restart seals anew.
            #expect(try installation.trunkline("machine", "restart", "test-1", "--yes").status == 0)
            let restarted = try await eventually {
                try await installation.withClient {
                    let machine = try await $0.machine("test-1")
                    return machine.verified && machine.generation > 1
                }
            }
            #expect(restarted)
            #expect(try installation.trunkline("key", "rotate", "master").status == 0)
        }
    }
}
