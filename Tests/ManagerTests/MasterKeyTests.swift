import Fleet
import Foundation
import HummingbirdTesting
import HTTPTypes
import Records
import Sealing
import Testing

@testable import Manager

@Suite("The master key")
struct MasterKeyTests {
    /// A copy of the data directory as a killed manager would leave it, opened by the next one.
    private func opened<Answer>(
        _ site: Site, _ change: (_ directory: String) throws -> Void = { _ in },
        _ body: (Records, Vault) throws -> Answer
    ) throws -> Answer {
        let copy = FileManager.default.temporaryDirectory.appending(path: "copy-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: copy) }
        for name in ["trunkline.sqlite", "trunkline.sqlite-wal", "master.key", "master.key.next"] {
            let from = site.configuration.path(name)
            if FileManager.default.fileExists(atPath: from) {
                try FileManager.default.copyItem(atPath: from, toPath: "\(copy)/\(name)")
            }
        }
        try change(copy)
        let records = try Records.open(at: copy + "/trunkline.sqlite")
        let vault = try Vault.open(file: copy + "/master.key", environment: [:], for: try records.masterKeyID())
        #expect(!FileManager.default.fileExists(atPath: copy + "/master.key.next"), "only one is left")
        return try body(try vault.audited(records), vault)
    }

    private func fill(_ site: Site, _ ask: Asker) async throws {
        _ = try await ask.push(try site.bundle())
        _ = try await ask(.post, "/v1/groups", Site.record(platform: "none"))
        try await site.control.setSecret("sip", to: "s3cret", by: Site.user)
        let reply = try await ask(
            .post, "/v1/groups/test/invitations", "{\"uses\": 1, \"ttl\": \"1h\"}", type: "application/json",
            ["Idempotency-Key": "k"])
        #expect(reply.status == 201)
        _ = try await site.control.contentKey(ContentKeyName(group: "test", digest: "d", machine: nil))
    }

    /// Everything opens, and the audit log is whole.
    private func expectReadable(_ records: Records, _ vault: Vault, ticket: String) throws {
        #expect(try vault.secret(try #require(try records.secret("sip")), named: "sip") == "s3cret")
        let group = try #require(try records.group("test"))
        #expect(try vault.groupKey(group.keySealed, of: "test").publicKey.rawRepresentation == group.keyPublic)
        let sealed = try #require(try records.contentKey(group: "test", digest: "d", machine: nil))
        _ = try vault.contentKey(sealed, of: "d")
        #expect(try vault.ticketSecret(try #require(try records.ticket(ticket)).secretSealed, of: ticket).count == 32)
        let answer = try #require(try records.idempotentAnswer(key: "k", caller: "admin"))
        #expect(try vault.answer(answer.body, forKey: "k").contains(ticket))
        var verifier = AuditVerifier(code: vault.keyring.keys.auditSeal.code)
        let page = try records.auditPage(after: 0, limit: 1000)
        #expect(page.rows.count > 3)
        for row in page.rows { #expect(verifier.take(row) == nil) }
        #expect(verifier.end(page.head).ok)
    }

    private func ticket(_ site: Site) async throws -> String {
        let events = try await site.control.events(EventFilter(), after: 0, limit: 100).items
        return try #require(events.first { $0.kind == .invitationMade }?.facts["ticket"])
    }

    @Test("is replaced at once: everything still opens, before and after a restart, and the old one opens nothing")
    func rotation() async throws {
        try await Site.with { site in
            try await site.rest { (ask) async throws in
                try await fill(site, ask)
                let ticket = try await ticket(site)
                let file = URL(filePath: site.configuration.path("master.key"))
                let old = try Data(contentsOf: file)
                let reply = try await ask(.post, "/v1/keys/master/rotate")
                let rotation = try JSONDecoder().decode(KeyRotationView.self, from: Data(reply.body.utf8))
                #expect(reply.status == 200 && rotation.sealed == 6, "\(reply.body)")
                let new = try Data(contentsOf: file)
                #expect(new != old && new.count == 32)
                #expect(try FileManager.default.attributesOfItem(atPath: file.path)[.posixPermissions] as? Int == 0o600)
                try expectReadable(site.control.records, await site.control.vault, ticket: ticket)
                #expect(try await site.control.verifyAudit().ok)
                let lines = try await site.control.audit(after: 0, limit: 100).items
                #expect(lines.last?.what == "key.rotated" && lines.last?.after == "{\"key\":\"\(rotation.key)\"}")
                let events = try await site.control.events(EventFilter(), after: 0, limit: 100).items
                #expect(events.last?.kind == .keyRotated)
                // What comes after is under the new one.
                try await site.control.setSecret("later", to: "too", by: Site.user)
                try opened(site) { records, vault in
                    try expectReadable(records, vault, ticket: ticket)
                    #expect(try vault.secret(try #require(try records.secret("later")), named: "later") == "too")
                    let former = Vault(master: try MasterKey(rawRepresentation: old))
                    #expect(throws: (any Error).self) {
                        try former.secret(try #require(try records.secret("sip")), named: "sip")
                    }
                }
                #expect(try await ask(.post, "/v1/keys/master/rotate").status == 200, "and again")
                try opened(site) { try expectReadable($0, $1, ticket: ticket) }
            }
        }
    }

    @Test("is the right one wherever a rotation was killed: after the new file, after the commit, after the renaming")
    func killed() async throws {
        try await Site.with { site in
            try await site.rest { (ask) async throws in
                try await fill(site, ask)
                let ticket = try await ticket(site)
                let path = site.configuration.path("master.key")
                let old = try Data(contentsOf: URL(filePath: path))
                let file = MasterKeyFile(path: path)
                // While the new file is written, and when it is there.
                try Data([1, 2]).write(to: URL(filePath: file.next + ".new"))
                try opened(site) { try expectReadable($0, $1, ticket: ticket) }
                try file.prepare(MasterKey(), beside: try MasterKey(rawRepresentation: old))
                try opened(site) { records, vault in
                    #expect(vault.keyring.master.rawRepresentation == old)
                    try expectReadable(records, vault, ticket: ticket)
                }
                _ = try await site.control.rotateMasterKey(by: Site.user)
                let new = try Data(contentsOf: URL(filePath: path))
                // Committed, and not renamed.
                func asCommitted(_ directory: String) throws {
                    try FileManager.default.moveItem(
                        atPath: directory + "/master.key", toPath: directory + "/master.key.next")
                    try old.write(to: URL(filePath: directory + "/master.key"))
                }
                try opened(site, asCommitted) { records, vault in
                    #expect(vault.keyring.master.rawRepresentation == new)
                    try expectReadable(records, vault, ticket: ticket)
                    // And it can be replaced again from there.
                    _ = try vault.rotate(in: records) { _, _ in [] }
                    try expectReadable(records, vault, ticket: ticket)
                }
                try opened(site) { try expectReadable($0, $1, ticket: ticket) }
            }
        }
    }

    @Test("that is missing or another one is refused at the start, and nothing is written")
    func wrong() async throws {
        try await Site.with { site in
            let path = site.configuration.path("master.key")
            let id = try #require(try site.control.records.masterKeyID())
            let key = try Data(contentsOf: URL(filePath: path))
            let other = Data(repeating: 1, count: 32)
            for environment in [[:], ["TRUNKLINE_MASTER_KEY": other.base64EncodedString()]] {
                try other.write(to: URL(filePath: path))
                let error = #expect(throws: StartError.self) {
                    try Vault.open(file: path, environment: environment, for: id)
                }
                #expect(error?.description.contains("nothing can be read without it") == true)
                #expect(try Data(contentsOf: URL(filePath: path)) == other)
            }
            try FileManager.default.removeItem(atPath: path)
            #expect(throws: StartError.self) { try Vault.open(file: path, environment: [:], for: id) }
            #expect(!FileManager.default.fileExists(atPath: path), "no new one is made over old secrets")
            let given = ["TRUNKLINE_MASTER_KEY": key.base64EncodedString()]
            #expect(try Vault.open(file: path, environment: given, for: id).keyring.master.id == id)
        }
    }

    @Test("from the environment can't be replaced, and the refusal says what to do")
    func environment() async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "env-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let records = try Records.open(at: directory + "/trunkline.sqlite")
        let vault = try Vault.open(
            file: directory + "/master.key",
            environment: ["TRUNKLINE_MASTER_KEY": Data(repeating: 7, count: 32).base64EncodedString()],
            for: try records.masterKeyID())
        let refusal = #expect(throws: Refusal.self) {
            try vault.rotate(in: try vault.audited(records)) { _, _ in [] }
        }
        #expect(refusal?.code == .conflict && refusal?.message.contains("without the variable") == true)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: directory).allSatisfy { !$0.hasPrefix("master.key") })
    }
}
