import Certificates
import Client
import Fleet
import Foundation
import TestSupport
import Testing

@Suite("What an operator brings: an authority, a certificate, a broker elsewhere", .serialized)
struct OperatorTests {
    @Test("The user's own authority is taken; one that cannot do is refused with what it lacks")
    func ownAuthority() async throws {
        func make(_ installation: Installation, in data: String, usage: String) throws {
            let directory = data + "/ca"
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            let openssl = URL(filePath: "/usr/bin/openssl")
            let key = try Ended.run(
                openssl, ["ecparam", "-name", "prime256v1", "-genkey", "-out", directory + "/ca.key"])
            let certificate = try Ended.run(
                openssl,
                [
                    "req", "-x509", "-new", "-key", directory + "/ca.key", "-subj", "/O=Example/CN=Our CA", "-days",
                    "30",
                    "-addext", "keyUsage=critical,\(usage)", "-out", directory + "/ca.pem",
                ])
            #expect(key.status == 0 && certificate.status == 0, "\(certificate.error)")
        }
        try await Installation.with(prepare: { try make($0, in: $0.data, usage: "keyCertSign,cRLSign") }) {
            installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1", count: 1))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            let machine = try #require(try await client.allMachines(group: "test").first)
            let shown = try Ended.run(
                URL(filePath: "/usr/bin/openssl"),
                [
                    "x509", "-noout", "-issuer", "-in",
                    "\(installation.data)/machines/\(machine.id)/state/certificate.pem",
                ])
            #expect(shown.output.contains("Our CA"), "\(shown.output)")

            let other = installation.directory.path + "/other"
            try make(installation, in: other, usage: "keyCertSign")
            let refused = try Ended.run(
                Installation.programs.appending(path: "trunkline"),
                ["serve", "--data", other, "--listen", "127.0.0.1:0", "--broker", installation.broker.url])
            #expect(refused.status == 1 && refused.error.contains("cRLSign"), "\(refused.error)")
        }
    }

    @Test("The REST API shows the user's own certificate; one without its key, or with another's, is refused at start")
    func ownCertificate() async throws {
        try await Installation.with { installation, _ in
            let now = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
            let theirs = try CertificateAuthority(life: .hours(2), at: now)
            let key = TransportKey()
            let certificate = try theirs.issue(
                to: "api", for: .server(names: ["127.0.0.1"]), key: key, life: .hours(1), at: now)
            func write(_ text: String, _ name: String) throws -> String {
                let file = installation.directory.appending(path: name)
                try text.write(to: file, atomically: true, encoding: .utf8)
                return file.path
            }
            let files = (try write(certificate.pem, "api.pem"), try write(key.pem, "api.key"))
            let trust = try write(theirs.pem, "theirs.pem")
            #expect(try await installation.endManager() == 0)
            try await installation.startManager(
                ["--tls-certificate", files.0, "--tls-key", files.1], trust: theirs.pem)
            #expect(try await installation.withClient { try await $0.allGroups() }.isEmpty)
            func list(_ arguments: String...) throws -> Ended {
                try Ended.run(
                    Installation.programs.appending(path: "trunkline"),
                    ["group", "list", "--data", installation.data] + arguments)
            }
            // The server and the token are found in the data directory; whom to trust only the user knows.
            #expect(try list("--trust", trust).status == 0)
            let distrustful = try list("--trust", installation.trustFile)
            #expect(distrustful.status == 1 && distrustful.error.contains("--trust"), "\(distrustful.error)")

            #expect(try await installation.endManager() == 0)
            for (arguments, reason) in [
                (["--tls-certificate", files.0], "go together"),
                (["--tls-certificate", files.0, "--tls-key", try write(TransportKey().pem, "other.key")], "REST API"),
                (["--tls-certificate", "/nowhere.pem", "--tls-key", files.1], "/nowhere.pem can't be read"),
            ] {
                let refused = try Ended.run(
                    Installation.programs.appending(path: "trunkline"),
                    [
                        "serve", "--data", installation.data, "--listen", "127.0.0.1:0", "--broker",
                        installation.broker.url,
                    ] + arguments)
                #expect(refused.status != 0 && refused.error.contains(reason), "\(refused.error)")
            }
        }
    }

    @Test("A broker elsewhere is told of a revocation by the user's command, as often as it takes")
    func brokerElsewhere() async throws {
        try await Installation.with { installation, _ in
            // Where the manager can't find it by itself.
            let pid = installation.directory.appending(path: "elsewhere.pid").path
            try FileManager.default.moveItem(atPath: installation.data + "/broker/mosquitto.pid", toPath: pid)
            let reachable = installation.directory.appending(path: "reachable").path
            #expect(try await installation.endManager() == 0)
            try await installation.startManager([
                "--broker-reload", "test -e \(reachable) && kill -HUP \"$(cat \(pid))\"",
            ])
            let log = { try String(contentsOf: installation.directory.appending(path: "manager.log"), encoding: .utf8) }
            let told = try await eventually { try log().contains("the command of --broker-reload ended with 1") }
            #expect(told, "who runs it reads that it fails")

            try await installation.withClient { client in
                let machines = try await installation.verifiedMachines(1, client)
                defer { for machine in machines { machine.end(with: SIGTERM) } }
                let outcast = try #require(try await client.allMachines(group: "test").first).id
                let security = try machines[0].security(in: installation)
                _ = try await client.instruct(machine: outcast, .revoke)
                #expect(
                    try await installation.refusal(of: security) == nil, "the broker was not reached and can't know")
                #expect(FileManager.default.createFile(atPath: reachable, contents: nil))
                let refused = try await eventually { try await installation.refusal(of: security) != nil }
                #expect(refused)
            }
        }
    }
}
