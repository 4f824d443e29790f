import Fleet
import Foundation
import HummingbirdTesting
import HTTPTypes
import Sealing
import Synchronization
import TestSupport
import Records
import Testing

@testable import Manager

@Suite("The control and its parts")
struct PartsTests {
    @Test("A deadline that has passed fires once; one that was taken back does not fire")
    func timer() async throws {
        let fired = Mutex(0)
        let timer = DeadlineTimer(label: "test") { fired.withLock { $0 += 1 } }
        timer.set(.now + .milliseconds(50))
        timer.set(nil)
        // Another timer, set for later, shows that the time has passed.
        let other = Mutex(false)
        let later = DeadlineTimer(label: "later") { other.withLock { $0 = true } }
        later.set(.now + .milliseconds(300))
        #expect(try await eventually { other.withLock { $0 } })
        #expect(fired.withLock { $0 } == 0)
        timer.set(.now + .milliseconds(50))
        timer.set(.now + .hours(1))
        other.withLock { $0 = false }
        later.set(.now + .milliseconds(300))
        #expect(try await eventually { other.withLock { $0 } })
        #expect(fired.withLock { $0 } == 0)
        timer.set(.now - .seconds(1))
        #expect(try await eventually { fired.withLock { $0 } == 1 })
        timer.set(.now - .seconds(2))
        #expect(try await eventually { fired.withLock { $0 } == 2 })
    }

    @Test("What one master key sealed no other opens, and nothing opens under another name")
    func vault() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "key-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let vault = try Vault.open(file: path, environment: [:])
        let sealed = try vault.seal(secret: "s3cret", named: "a")
        #expect(try Vault.open(file: path, environment: [:]).secret(sealed, named: "a") == "s3cret")
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        #expect(throws: (any Error).self) { try vault.secret(sealed, named: "b") }
        // Also where it was opened before, under its own.
        let key = SecurityKey()
        let kept = try vault.seal(key, of: "a")
        for _ in 0..<2 { #expect(try vault.groupKey(kept, of: "a").publicKey == key.publicKey) }
        #expect(throws: (any Error).self) { try vault.groupKey(kept, of: "b") }
        #expect(throws: (any Error).self) { try vault.previousGroupKey(kept, of: "a") }
        let other = try Vault.open(
            file: path, environment: ["TRUNKLINE_MASTER_KEY": Data(count: 32).base64EncodedString()])
        #expect(throws: (any Error).self) { try other.secret(sealed, named: "a") }
        for text in ["", "short", Data(count: 31).base64EncodedString()] {
            #expect(throws: StartError.self) {
                try Vault.open(file: path, environment: ["TRUNKLINE_MASTER_KEY": text])
            }
        }
        try Data(count: 5).write(to: URL(filePath: path))
        #expect(throws: StartError.self) { try Vault.open(file: path, environment: [:]) }
    }

    @Test("Metrics are in the Prometheus text format, each family described once")
    func metrics() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record())
                let text = try await ask(.get, "/metrics").body
                #expect(
                    text.hasSuffix("\n") && text.contains("trunkline_group_machines{group=\"test\",state=\"desired\"} ")
                )
                var (described, histograms) = ([Substring](), Set<Substring>())
                for line in text.split(separator: "\n") where !line.hasPrefix("# HELP") {
                    // Each line is a type, or a value of the family whose type was the last.
                    let type = line.wholeMatch(of: /# TYPE ([a-z_]+) (counter|gauge|histogram)/)
                    let value = line.wholeMatch(of: /([a-z_]+)(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?[0-9.]+/)
                    described += [type?.1].compactMap { $0 }
                    if type?.2 == "histogram" { histograms.insert(line.split(separator: " ")[2]) }
                    let family = (type?.1 ?? value?.1).map { name in
                        let suffix = ["_bucket", "_sum", "_count"].first { name.hasSuffix($0) }
                        let whole = name.dropLast(suffix?.count ?? 0)
                        return histograms.contains(whole) ? whole : name
                    }
                    #expect(family == described.last, "\(line)")
                }
                #expect(Set(described).count == described.count && described.count > 10)
            }
        }
    }

    @Test("A group whose secrets are not set does not start, and says which are missing")
    func secrets() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                let created = try await ask(.post, "/v1/groups", Site.record(env: "PASSWORD = secret(\"pass\")"))
                #expect(created.status == 201, "\(created.body)")
                let refused = try await ask(.post, "/v1/groups/test/start")
                #expect(refused.status == 409 && refused.body.contains("pass"))
                _ = try await ask(.put, "/v1/secrets/pass", "{\"value\": \"x\"}", type: "application/json")
                #expect(try await ask(.post, "/v1/groups/test/start").status == 202)
                #expect(try await ask(.delete, "/v1/secrets/pass").status == 409)
            }
        }
    }

    @Test("Each change is a revision; the same record again is none; a roll-back and a rule's scale are new ones")
    func revisions() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                let first = try await ask(.post, "/v1/groups", Site.record(count: 1))
                _ = try await ask(.put, "/v1/groups/test", Site.record(count: 1))
                #expect(try await ask(.get, "/v1/groups/test")["ETag"] == first["ETag"])
                _ = try await ask(.put, "/v1/groups/test", Site.record(count: 2))
                #expect(try await ask(.post, "/v1/groups/test/rollback")["ETag"] == "\"3\"")
                try await site.control.scale("test", to: 4, by: "busy")
                let all = try await site.control.revisions("test").items
                #expect(all.map(\.revision) == [4, 3, 2, 1], "the newest first")
                let texts = try site.control.records.revisions(of: "test").map(\.text)
                #expect(texts[3] == texts[1] && texts[0].contains("4"))
                #expect(all[0].by == "rule busy")
                #expect(all.map(\.reason) == ["scaled to 4 by rule busy", "back to what revision 1 said", "", ""])
                #expect(
                    all.map(\.changed) == [
                        "machines.count 1 → 4", "machines.count 2 → 1", "machines.count 1 → 2", "created",
                    ])
                #expect(all.allSatisfy { $0.verdict.state == .untried && $0.software == "soft@1" })
            }
        }
    }
}
