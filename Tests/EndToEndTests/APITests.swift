import Bundles
import Client
import Fleet
import Foundation
import TestSupport
import Testing

@Suite("The REST API against a real manager", .serialized)
struct APITests {
    @Test("A record's life with curl: create, read, change with If-Match, start, stop, remove")
    func life() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            let record = Installation.record(software: "soft@1", count: 1)
            let text = ["Content-Type: text/plain"]
            let created = try installation.curl("POST", "/v1/groups", headers: text, body: record)
            #expect(created.status == 201)
            #expect(created.field("state") as? String == "defined")
            let tag = try #require(created.header("ETag"))
            #expect(try installation.curl("POST", "/v1/groups", headers: text, body: record).status == 409)

            let changed = Installation.record(software: "soft@1", count: 2)
            #expect(
                try installation.curl("PUT", "/v1/groups/test", headers: text + ["If-Match: \"99\""], body: changed)
                    .status == 412)
            #expect(
                try installation.curl("PUT", "/v1/groups/test", headers: text + ["If-Match: \(tag)"], body: changed)
                    .status == 200)
            #expect(
                try installation.curl("PUT", "/v1/groups/test", headers: text + ["If-Match: \(tag)"], body: changed)
                    .status == 412)
            #expect(try installation.curl("GET", "/v1/groups/test").header("ETag") != tag)

            #expect(try installation.curl("POST", "/v1/groups/test/start").status == 202)
            try await client.converged("test")
            let started = try await client.allMachines(group: "test").count
            #expect(started > 0)
            #expect(try installation.curl("DELETE", "/v1/groups/test").status == 409, "it runs")
            #expect(try installation.curl("DELETE", "/v1/software/soft/1").status == 409, "a group names it")
            #expect(try installation.curl("POST", "/v1/groups/test/stop?release=maybe").status == 400)
            #expect(try installation.curl("POST", "/v1/groups/test/stop").status == 202)
            let stopped = try await eventually {
                let states = try await client.allMachines(group: "test").map(\.state)
                return states.count == started && states.allSatisfy { $0 == .stopped }
            }
            #expect(stopped, "they stay, and their software stops")
            #expect((200...204).contains(try installation.curl("DELETE", "/v1/groups/test").status))
            #expect(try installation.curl("GET", "/v1/groups/test").status == 404)
            let released = try await eventually { try await client.allMachines(group: nil).isEmpty }
            #expect(released)
            #expect((200...204).contains(try installation.curl("DELETE", "/v1/software/soft/1").status))
        }
    }

    @Test("A bad record is answered with every fault, as data and as text, and nothing is kept")
    func badRecord() async throws {
        try await Installation.with { installation, _ in
            let bad = """
                group "test" {
                  service  = voice
                  software = "soft@1"
                  machines { count = many  platform = locl }
                  rule "r" { when software.helth == failing then restart }
                }
                """
            let answer = try installation.curl("POST", "/v1/groups", headers: ["Content-Type: text/plain"], body: bad)
            #expect(answer.status == 422)
            #expect(answer.header("Content-Type")?.hasPrefix("application/problem+json") == true)
            let diagnostics = try #require(answer.field("diagnostics") as? [[String: Any]])
            #expect(diagnostics.count >= 3)
            #expect(Set(diagnostics.compactMap { $0["line"] as? Int }).isSuperset(of: [4, 5]))
            let text = try #require(answer.field("text") as? String)
            #expect(text.contains("^"))
            #expect(text.contains("software.health"))
            #expect(try installation.curl("GET", "/v1/groups/test").status == 404)
        }
    }

    @Test("Who has no token, or a wrong one, gets nothing")
    func tokens() async throws {
        try await Installation.with { installation, _ in
            for path in ["/v1/groups", "/v1/machines", "/v1/software", "/v1/events", "/v1/secrets"] {
                let answer = try installation.curl("GET", path, token: "wrong")
                #expect(answer.status == 401)
                #expect(answer.header("WWW-Authenticate") != nil)
            }
            #expect(try installation.curl("GET", "/healthz", token: "wrong").status == 200)
            let file = installation.data + "/admin.token"
            let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
            #expect(mode == 0o600)
        }
    }

    @Test("A request that comes twice under one Idempotency-Key acts once")
    func idempotency() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            let headers = ["Content-Type: text/plain", "Idempotency-Key: once-and-only-once"]
            let record = Installation.record(software: "soft@1")
            let first = try installation.curl("POST", "/v1/groups", headers: headers, body: record)
            let second = try installation.curl("POST", "/v1/groups", headers: headers, body: record)
            #expect(first.status == 201)
            #expect(second.status == 201)
            #expect(first.body == second.body)
            #expect(try await client.allEvents(group: "test").count { $0.kind == .groupCreated } == 1)
            // Also over a restart of the manager.
            installation.killManager()
            try await installation.startManager()
            #expect(try installation.curl("POST", "/v1/groups", headers: headers, body: record).status == 201)
        }
    }

    @Test("An upload that breaks, lies about its digest or is no bundle leaves nothing behind")
    func brokenUploads() async throws {
        try await Installation.with { installation, client in
            let garbage = installation.directory.appending(path: "garbage").path
            try Data(repeating: 7, count: 100_000).write(to: URL(fileURLWithPath: garbage))
            let path = "/v1/software/soft/1"
            #expect(try installation.curl("PUT", path, file: garbage).status == 422)
            let lie = "Repr-Digest: sha-256=:\(Data(repeating: 0, count: 32).base64EncodedString()):"
            #expect(try installation.curl("PUT", path, headers: [lie], file: garbage).status == 400)

            // Half of what was promised, then the line is cut.
            let large = installation.directory.appending(path: "large").path
            try Data(repeating: 1, count: 4_000_000).write(to: URL(fileURLWithPath: large))
            let sender = Process()
            sender.executableURL = URL(filePath: "/usr/bin/curl")
            sender.arguments = [
                "-sS", "--cacert", installation.trustFile, "--limit-rate", "100k", "-T", large, "-H",
                "Authorization: Bearer \(installation.token)", installation.server + path,
            ]
            sender.standardOutput = FileHandle.nullDevice
            sender.standardError = FileHandle.nullDevice
            try sender.run()
            let began = try await eventually {
                !(try FileManager.default.contentsOfDirectory(atPath: installation.data + "/uploads")).isEmpty
            }
            #expect(began)
            kill(sender.processIdentifier, SIGKILL)
            sender.waitUntilExit()
            let clean = try await eventually {
                try FileManager.default.contentsOfDirectory(atPath: installation.data + "/uploads").isEmpty
            }
            #expect(clean)
            #expect(try FileManager.default.contentsOfDirectory(atPath: installation.data + "/bundles").isEmpty)
            #expect(try await client.allSoftware().isEmpty)
        }
    }

    @Test("A bundle of 200 MB does not grow the manager's memory by more than a few")
    func largeUpload() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("small"), padding: 1_000_000, client)
            let before = try heap(of: installation.managerPid)
            let peak = try await withThrowingTaskGroup(of: Int?.self) { group in
                group.addTask {
                    try await installation.push(files: Installation.script("large"), padding: 200_000_000, client)
                    return nil
                }
                group.addTask {
                    var peak = 0
                    while !Task.isCancelled {
                        peak = max(peak, try self.heap(of: installation.managerPid))
                        try? await Task.sleep(for: .milliseconds(20))
                    }
                    return peak
                }
                _ = try await group.next()
                group.cancelAll()
                return try await group.next().flatMap { $0 } ?? 0
            }
            #expect(peak > 0, "it was looked at")
            #expect(peak - before < 12 << 20, "grew by \((peak - before) >> 20) MiB")
            #expect(try await client.allSoftware().count == 2)
        }
    }

    /// Bytes of heap and stacks; pages of the program itself come and go as the kernel likes.
    private func heap(of pid: Int32) throws -> Int {
        let text = try String(contentsOfFile: "/proc/\(pid)/smaps_rollup", encoding: .utf8)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("Anonymous:") })
        return try #require(line.split(separator: " ").dropFirst().first.flatMap { Int($0) }) * 1024
    }

    @Test("The event stream resumes behind the last event that was seen, without a gap or a repetition")
    func events() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1"))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            let all = try await client.allEvents()
            #expect(all.map(\.id) == all.map(\.id).sorted())
            let middle = all[all.count / 2]
            var seen: [Int64] = []
            for try await event in client.eventStream(group: nil, machine: nil, after: middle.id) {
                seen.append(event.id)
                if seen.count == all.count - all.count / 2 - 1 { break }
            }
            #expect(seen == all.filter { $0.id > middle.id }.map(\.id))
            #expect(all.contains { $0.kind == .ruleActed } == false, "the first order is the user's act, not a rule's")
            #expect(all.contains { $0.kind == .groupConverged })
        }
    }

    @Test("Unknown things are 404, unreadable parameters 400, bodies too large 413, other content types 415")
    func refusals() async throws {
        try await Installation.with { installation, _ in
            func expect(_ status: Int, _ answer: Installation.Answer) {
                #expect(answer.status == status, "\(answer.body)")
            }
            for path in [
                "/v1/groups/none", "/v1/machines/none-1", "/v1/machines/none-1/explain", "/v1/software/none/1",
                "/v1/nothing",
            ] {
                try expect(404, installation.curl("GET", path))
            }
            for path in ["/v1/groups?limit=x", "/v1/events?after=yesterday", "/v1/machines?limit=0"] {
                try expect(400, installation.curl("GET", path))
            }
            let large = String(repeating: "# a comment\n", count: 200_000)
            try expect(413, installation.curl("POST", "/v1/groups", headers: ["Content-Type: text/plain"], body: large))
            try expect(415, installation.curl("POST", "/v1/groups", headers: ["Content-Type: image/png"], body: "x"))
            try expect(
                422, installation.curl("POST", "/v1/groups", headers: ["Content-Type: application/json"], body: "{"))
            try expect(405, installation.curl("PATCH", "/v1/groups"))
        }
    }
}
