import Client
import Fleet
import Foundation
import TestSupport
import Testing

@Suite("Backups")
struct BackupTests {
    @Test(
        "Taken of a live fleet and put back into an empty directory: machines that went on meanwhile obey, and nothing restarts"
    )
    func fleet() async throws {
        try await Installation.with { installation, client in
            let machines = try await installation.verifiedMachines(2, client)
            defer { for machine in machines { machine.end(with: SIGTERM) } }
            try await client.setSecret("kept", to: "a secret's value")
            let (key, file) = (
                installation.directory.appending(path: "backup.key").path,
                installation.directory.appending(path: "fleet.backup").path
            )
            #expect(try installation.trunkline("backup", "keygen", key).status == 0)
            let made = try installation.trunkline(
                "backup", "--data", installation.data, "--to", file, "--to-key", key + ".pub", "--with-master-key")
            #expect(made.status == 0 && made.error.contains("1 group, 2 machines, 1 bundle"), "\(made.error)")
            let bytes = try #require(FileManager.default.contents(atPath: file))
            for secret in ["SQLite format", "PRIVATE KEY"] { #expect(bytes.range(of: Data(secret.utf8)) == nil) }
            let checked = try installation.trunkline("backup", "verify", file, "--key", key)
            #expect(checked.status == 0 && checked.output.contains("in it"), "\(checked.error)")

            // As an earlier manager has it that runs beside this program.
            let bundles = installation.data + "/bundles"
            let bundle = try #require(try FileManager.default.contentsOfDirectory(atPath: bundles).first)
            let older = bundle.replacing(".bundle", with: ".tar.gz")
            try FileManager.default.moveItem(atPath: "\(bundles)/\(bundle)", toPath: "\(bundles)/\(older)")
            let early = try installation.trunkline(
                "backup", "--data", installation.data, "--to", file + ".early", "--to-key", key + ".pub")
            #expect(early.status == 0 && early.error.contains("1 bundle"), "\(early.error)")
            try FileManager.default.moveItem(atPath: "\(bundles)/\(older)", toPath: "\(bundles)/\(bundle)")

            let full = try installation.trunkline("restore", file, "--key", key, "--data", installation.data)
            #expect(full.status == 1 && full.error.contains("has something in it"), "\(full.error)")

            // Twice the same backup: the second time they are ahead of what the first restored manager said as well.
            var epochs: [Int] = []
            for life in 1...2 {
                // They get ahead: restarted twice, and with a secret that the backup does not know.
                try await installation.withClient { client in
                    for _ in 0..<2 {
                        let before = machines.map { $0.software.min() }
                        _ = try await client.instruct(group: "test", .restart)
                        #expect(try await eventually { machines.hasOthers(than: before) })
                        try await client.converged("test")
                    }
                    try await client.setSecret("late", to: "x")
                }
                // What it starts comes and goes.
                let software = machines.map { $0.software.min() }
                installation.killManager()
                let old = "\(installation.data).\(life)"
                try FileManager.default.moveItem(atPath: installation.data, toPath: old)
                let restored = try installation.trunkline("restore", file, "--key", key, "--data", installation.data)
                #expect(restored.status == 0, "\(restored.error)")
                // It is the broker's, and the broker runs.
                try FileManager.default.moveItem(atPath: old + "/broker", toPath: installation.data + "/broker")
                try await installation.startManager()
                try await installation.withClient { client in
                    #expect(try await client.secrets() == ["kept"])
                    try await client.converged("test")
                    let isWhole = try await eventually {
                        try await client.allMachines(group: "test").allSatisfy { $0.verified && $0.awaySince == nil }
                    }
                    #expect(isWhole)
                    #expect(try await client.allEvents(group: nil).contains { $0.kind == .recordsRestored })
                    #expect(machines.map { $0.software.min() } == software, "nothing restarted")
                    _ = try await client.instruct(group: "test", .restart)
                    #expect(try await eventually { machines.hasOthers(than: software) }, "they obey")
                    try await client.converged("test")
                }
                let mark = try #require(
                    FileManager.default.contents(atPath: installation.data + "/trunkline.sqlite.id"))
                let members = try #require(try JSONSerialization.jsonObject(with: mark) as? [String: Any])
                epochs.append(try #require(members["epoch"] as? Int))
            }
            #expect(epochs[1] > epochs[0])
            #expect(try installation.trunkline("audit", "verify").status == 0)
        }
    }

    @Test(
        "What is damaged, cut off, foreign or sealed to another key is refused in a sentence, and nothing is left of it"
    )
    func refusals() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft", health: false), client)
            let home = installation.directory
            func path(_ name: String) -> String { home.appending(path: name).path }
            for name in ["a.key", "b.key"] {
                #expect(try installation.trunkline("backup", "keygen", path(name)).status == 0)
            }
            #expect(try installation.trunkline("backup", "keygen", path("a.key")).status == 1)
            func backup(_ name: String, key: String = "a.key.pub", more: String...) throws -> Ended {
                try installation.trunkline(
                    ["backup", "--data", installation.data, "--to", path(name), "--to-key", path(key)] + more)
            }
            #expect(try backup("good").error.contains("the master key is not in it"))
            #expect(try backup("good").error.contains("is there already"))
            #expect(try backup("other", key: "a.key").error.contains("it is the private half"))
            #expect(try installation.trunkline("backup", "--to", path("c")).status == 2)
            let mode = try #require(
                try FileManager.default.attributesOfItem(atPath: path("good"))[.posixPermissions] as? Int)
            #expect(mode == 0o600)

            let good = try #require(FileManager.default.contents(atPath: path("good")))
            var changed = good
            changed[good.count / 2] ^= 1
            let bad: [(name: String, bytes: Data, key: String, says: String)] = [
                ("whole", good, "b.key", "sealed to another key, or it was changed"),
                ("public", good, "a.key.pub", "it is the public half"),
                ("changed", changed, "a.key", "sealed to another key, or it was changed"),
                ("cut", good.dropLast(1), "a.key", "breaks off"), ("shorter", good.prefix(100), "a.key", "breaks off"),
                ("longer", good + Data([0]), "a.key", "has more in it"),
                ("foreign", Data("hello".utf8), "a.key", "is no backup of trunkline"),
            ]
            for (name, bytes, key, says) in bad {
                try bytes.write(to: URL(fileURLWithPath: path(name)))
                let verified = try installation.trunkline("backup", "verify", path(name), "--key", path(key))
                #expect(verified.status == 1 && verified.error.contains(says), "\(name): \(verified.error)")
                let target = path("target-\(name)")
                let restored = try installation.trunkline(
                    "restore", path(name), "--key", path(key), "--data", target)
                #expect(restored.status == 1 && restored.error.contains(says), "\(name): \(restored.error)")
                #expect(!FileManager.default.fileExists(atPath: target), "\(name)")
            }
            let left = try FileManager.default.contentsOfDirectory(atPath: home.path)
            #expect(!left.contains { $0.contains(".partial") || $0.contains(".restoring") || $0.contains(".database") })
            let put = try installation.trunkline("restore", path("good"), "--key", path("a.key"), "--data", path("new"))
            #expect(put.status == 0 && put.error.contains("before it starts, put the master key"), "\(put.error)")
            #expect(!FileManager.default.fileExists(atPath: path("new/master.key")))
        }
    }
}

extension [InvitedMachine] {
    /// On each something runs, and not what ran there before.
    fileprivate func hasOthers(than before: [Int32?]) -> Bool {
        zip(self, before).allSatisfy { machine, before in
            let now = machine.software.min()
            return now != nil && now != before
        }
    }
}
