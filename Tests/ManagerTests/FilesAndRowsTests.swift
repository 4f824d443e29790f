import Certificates
import Fleet
import Foundation
import Records
import Synchronization
import TestSupport
import Testing

@testable import Manager

/// Files follow what was committed, also where the manager is killed in between.
@Suite("Files and rows")
struct FilesAndRowsTests {
    private func push(_ site: Site, _ name: String = "soft") async throws {
        try await site.rest { (ask) async throws in
            #expect(try await ask.push(try site.bundle(name), "\(name)/1").status == 201)
        }
    }

    @Test("A bundle's bytes go with the commit that forgets them, and stay where that fails")
    func removal() async throws {
        try await Site.with { site in
            try await push(site)
            try await push(site, "other")
            #expect(site.bundles.count == 2)
            try await site.control.removeSoftware(SoftwareReference(name: "soft", version: "1"), by: Site.user)
            #expect(site.bundles.count == 1)
            // From here on nothing can be written.
            try site.control.records.close()
            await #expect(throws: (any Error).self) {
                try await site.control.removeSoftware(SoftwareReference(name: "other", version: "1"), by: Site.user)
            }
            #expect(site.bundles.count == 1)
        }
    }

    @Test("A bundle whose commit fails leaves nothing, and takes nothing else along")
    func pushWithoutCommit() async throws {
        let refusing = Refusing()
        try await Site.with(write: { try refusing.write($0, $1) }) { (site) async throws in
            try await push(site, "other")
            let kept = site.bundles
            refusing.error.withLock { $0 = RecordsError(.full, "The disk is full.") }
            try await site.rest { (ask) async throws in
                #expect(try await ask.push(try site.bundle("soft"), "soft/1").status == 507)
            }
            #expect(site.bundles == kept && site.uploads.isEmpty)
        }
    }

    @Test("What a killed manager left is swept: uploads, and bundles that no row names; nothing else")
    func sweep() async throws {
        try await Site.with { site in
            try await push(site)
            let kept = site.bundles
            let directory = DataDirectory(configuration: site.configuration, logger: site.api.logger)
            let orphan = site.configuration.bundle(String(repeating: "a", count: 64))
            try Data([1]).write(to: URL(filePath: orphan))
            try Data([1]).write(to: URL(filePath: site.configuration.uploadDirectory + "/half"))
            // In a running manager both may be on their way.
            try await site.control.sweepBundles(olderThan: .hours(1))
            #expect(site.bundles.count == 2 && site.uploads == ["half"])
            try await site.control.sweepBundles(olderThan: .zero)
            #expect(site.bundles == kept && site.uploads == ["half"])
            try Data([1]).write(to: URL(filePath: orphan))
            try directory.sweep(site.control.records)
            #expect(site.bundles == kept && site.uploads.isEmpty)
        }
    }

    @Test("A bundle that was kept as .tar.gz is found after the next start, and not swept")
    func olderNames() async throws {
        try await Site.with { site in
            try await push(site)
            let kept = site.bundles
            let path = try site.configuration.bundleDirectory + "/" + #require(kept.first)
            let older = path.dropLast(".bundle".count) + ".tar.gz"
            try FileManager.default.moveItem(atPath: path, toPath: String(older))
            let directory = DataDirectory(configuration: site.configuration, logger: site.api.logger)
            try directory.prepare()
            #expect(site.bundles == kept && kept.count == 1)
            try directory.sweep(site.control.records)
            #expect(site.bundles == kept)
        }
    }

    @Test("Bytes that a removal left are taken over by the next push of the same")
    func pushedAgain() async throws {
        try await Site.with { site in
            try await push(site)
            let bytes = try #require(
                site.bundles.first.flatMap {
                    FileManager.default.contents(atPath: site.configuration.bundleDirectory + "/" + $0)
                })
            _ = try site.control.records.commit([.removeSoftware(SoftwareReference(name: "soft", version: "1"))])
            try await site.rest { (ask) async throws in
                #expect(try await ask.push(bytes, "soft/1").status == 201)
            }
            try await site.control.sweepBundles(olderThan: .zero)
            #expect(site.bundles.count == 1 && site.uploads.isEmpty)
        }
    }

    /// What a manager that starts now goes by.
    private func reopened(_ site: Site) throws -> AuthorityRow {
        try CertificateIssuer.open(site.configuration, records: site.control.records, logger: site.api.logger).row
    }

    private func files(_ site: Site) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: site.configuration.path("ca"))
            .filter { !$0.hasPrefix("api.") }.sorted()
    }

    @Test("A change of the authority that came to no commit is taken back")
    func uncommittedRotation() async throws {
        try await Site.with(secure: true) { site in
            let issuer = try #require(await site.control.issuer)
            let before = issuer.row
            _ = try issuer.prepareRotation()
            #expect(try files(site) == ["ca.key", "ca.pem", "next.key", "next.pem"])
            #expect(issuer.row == before && issuer.trust.components(separatedBy: "BEGIN").count == 2)
            #expect(try reopened(site) == before)
            #expect(try files(site) == ["ca.key", "ca.pem"])
        }
    }

    @Test("A change of the authority that was committed is finished, wherever the manager was killed", arguments: 0..<5)
    func killedRotation(place: Int) async throws {
        try await Site.with(secure: true) { site in
            let issuer = try #require(await site.control.issuer)
            let directory = site.configuration.path("ca")
            func copy(_ from: String, _ to: String) throws {
                try? FileManager.default.removeItem(atPath: "\(directory)/\(to)")
                try FileManager.default.copyItem(atPath: "\(directory)/\(from)", toPath: "\(directory)/\(to)")
            }
            let before = issuer.row
            let row = try issuer.prepareRotation()
            _ = try site.control.records.commit([.authority(row)])
            // In the order in which the files change.
            let steps = [
                ("ca.key", "previous.key"), ("ca.pem", "previous.pem"), ("next.key", "ca.key"), ("next.pem", "ca.pem"),
            ]
            for step in steps.prefix(place) { try copy(step.0, step.1) }
            #expect(row.previous == before.current)
            #expect(try reopened(site) == row)
            #expect(try files(site) == ["ca.key", "ca.pem", "previous.key", "previous.pem"])
        }
    }

    @Test(
        "The end of a change is finished, too, wherever the manager was killed",
        arguments: [[], ["previous.pem"], ["previous.key"]])
    func killedFinish(gone: [String]) async throws {
        try await Site.with(secure: true) { site in
            let issuer = try #require(await site.control.issuer)
            _ = try await site.control.rotateAuthority(finish: false, force: false, by: Site.user)
            let row = try issuer.prepareFinish(force: false)
            _ = try site.control.records.commit([.authority(row)])
            for name in gone { try FileManager.default.removeItem(atPath: site.configuration.path("ca") + "/" + name) }
            #expect(try reopened(site) == row)
            #expect(try files(site) == ["ca.key", "ca.pem"])
        }
    }

    @Test("A change of the authority whose commit fails changes nothing")
    func failedRotation() async throws {
        try await Site.with(secure: true) { site in
            let issuer = try #require(await site.control.issuer)
            let before = issuer.row
            try site.control.records.close()
            await #expect(throws: (any Error).self) {
                _ = try await site.control.rotateAuthority(finish: false, force: false, by: Site.user)
            }
            #expect(issuer.row == before)
            #expect(try files(site) == ["ca.key", "ca.pem"])
        }
    }
}
