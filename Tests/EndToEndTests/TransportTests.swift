import Certificates
import Client
import Fleet
import Foundation
import TestSupport
import Testing

@Suite("What goes unseen, and what in the clear", .serialized)
struct TransportTests {
    @Test("A debug certificate reads everything on the broker and can say nothing; it is short-lived")
    func debug() async throws {
        try await Installation.withMachines { installation, client, _ in
            let made = try installation.trunkline("debug-certificate", "--ttl", "10m")
            #expect(made.status == 0, "\(made.error)")
            let file = installation.directory.appending(path: "debug.pem")
            try made.output.write(to: file, atomically: true, encoding: .utf8)
            let life = try TransportCertificate(pem: made.output).notAfter.milliseconds
            #expect(Double(life) / 1000 < Date().timeIntervalSince1970 + 660)
            let machine = try #require(try await client.allMachines(group: "test").first)
            let common = [
                "-h", "127.0.0.1", "-p", "\(installation.broker.port)", "--cafile", installation.brokerTrustFile,
                "--cert",
                file.path, "--key", file.path, "-V", "mqttv5",
            ]
            let heard = try Ended.run(
                URL(filePath: "/usr/bin/mosquitto_sub"),
                common + ["-v", "-t", "trunkline/#", "-C", "1", "-W", "10"])
            #expect(heard.output.contains("trunkline/"), "\(heard.error)")
            let said = try Ended.run(
                URL(filePath: "/usr/bin/mosquitto_pub"),
                common + ["-q", "1", "-t", "trunkline/test/machines/\(machine.id)/order", "-m", "stop"])
            #expect(said.error.contains("Not authorized"), "\(said.error)")
            for topic in ["debug0/status", "debug0/register", "test/machines/debug0/status"] {
                let own = try Ended.run(
                    URL(filePath: "/usr/bin/mosquitto_pub"),
                    common + ["-q", "1", "-r", "-t", "trunkline/\(topic)", "-m", "here"])
                #expect(own.error.contains("Not authorized"), "\(topic): \(own.error)")
            }
            let long = try installation.trunkline("debug-certificate", "--ttl", "30d")
            #expect(long.status == 1 && long.error.contains("7d"), "\(long.error)")
        }
    }

    @Test("Plain MQTT and plain HTTP need an explicit --insecure on either side, and never leave loopback")
    func insecure() async throws {
        try await Installation.with { installation, client in
            func serve(_ arguments: String...) throws -> Ended {
                try Ended.run(
                    Installation.programs.appending(path: "trunkline"),
                    ["serve", "--data", installation.directory.path + "/other"] + arguments)
            }
            let plain = try serve("--listen", "127.0.0.1:0", "--broker", "mqtt://127.0.0.1:1883")
            #expect(plain.status == 1 && plain.error.contains("--insecure"), "\(plain.error)")
            let open = try serve("--listen", "0.0.0.0:0", "--insecure", "--broker", "mqtt://127.0.0.1:1883")
            #expect(open.status == 2 && open.error.contains("loopback"), "\(open.error)")
            let mixed = try serve("--listen", "127.0.0.1:0", "--insecure", "--broker", "mqtts://127.0.0.1:8883")
            #expect(mixed.status == 1 && mixed.error.contains("plain MQTT"), "\(mixed.error)")

            try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1", count: 1, platform: "none"))
            _ = try await client.instruct(group: "test", .start)
            var ticket = try await client.invite(to: "test", InvitationRequest(uses: 1, ttl: .minutes(5)))
            #expect(ticket.broker == installation.broker.url && ticket.boot == installation.broker.bootURL)
            ticket.broker = "mqtt://127.0.0.1:1"
            let machine = try InvitedMachine("plain", ticket: ticket, in: installation)
            try machine.start()
            #expect(try await eventually { machine.output.contains("add --insecure") })
        }
    }

    @Test("Who does not trust the manager's authority gets no answer over HTTPS, and is told what to do")
    func https() async throws {
        try await Installation.with { installation, _ in
            #expect(installation.server.hasPrefix("https://"))
            let distrustful = try Ended.run(
                URL(filePath: "/usr/bin/curl"), ["-sS", "--max-time", "10", installation.server + "/healthz"])
            #expect(distrustful.status == 60, "\(distrustful.error)")
            #expect(try installation.curl("GET", "/healthz").status == 200)
            let empty = installation.directory.appending(path: "other.pem")
            let other = try CertificateAuthority(
                life: .hours(1), at: Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)))
            try other.pem.write(to: empty, atomically: true, encoding: .utf8)
            let refused = try Ended.run(
                Installation.programs.appending(path: "trunkline"), ["group", "list", "--trust", empty.path],
                environment: ["TRUNKLINE_SERVER": installation.server, "TRUNKLINE_TOKEN": installation.token])
            #expect(refused.status == 1 && refused.error.contains("--trust"), "\(refused.error)")
        }
    }
}
