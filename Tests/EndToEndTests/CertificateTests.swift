import Certificates
import Client
import Fleet
import Foundation
import Logging
import Messaging
import Sealing
import Testing
import TestSupport

@Suite("Who gets to the broker", .serialized)
struct CertificateTests {
    /// A group `test` of `count` machines of one's own, all verified.
    private func running(
        _ count: Int = 1, arguments: [String] = [],
        _ body: (Installation, TrunklineClient, [InvitedMachine]) async throws -> Void
    ) async throws {
        try await Installation.with(arguments: arguments) { installation, client in
            let machines = try await installation.verifiedMachines(count, client, heartbeat: "1s")
            defer { for machine in machines { machine.end(with: SIGTERM) } }
            try await body(installation, client, machines)
        }
    }

    private func certificate(of machine: InvitedMachine) throws -> TransportCertificate {
        try TransportCertificate(pem: try String(contentsOfFile: machine.state + "/certificate.pem", encoding: .utf8))
    }

    @Test("A machine has a certificate in its own name for a week, and keys that only it can read")
    func issued() async throws {
        try await running { installation, client, machines in
            let machine = try #require(try await client.allMachines(group: "test").first)
            let certificate = try certificate(of: machines[0])
            #expect(certificate.commonName == "test/machines/\(machine.id)")
            let life = certificate.notAfter.milliseconds - certificate.notBefore.milliseconds
            #expect(abs(life - 7 * 86_400_000) < 600_000)
            for file in [
                machines[0].state + "/transport.key", machines[0].state + "/security.key",
                installation.data + "/ca/ca.key", installation.data + "/broker/broker.pem",
                installation.data + "/master.key",
            ] {
                let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
                #expect(mode == 0o600, "\(file)")
            }
        }
    }

    @Test("A certificate is renewed over MQTT before it ends, and the software does not notice")
    func renewed() async throws {
        try await running(arguments: ["--certificate-life", "15s"]) { _, client, machines in
            let first = try certificate(of: machines[0])
            let software = Set(machines[0].software)
            #expect(!software.isEmpty)
            let renewed = try await eventually { try certificate(of: machines[0]).serial != first.serial }
            #expect(renewed)
            #expect(try certificate(of: machines[0]).notAfter > first.notAfter)
            #expect(!software.isDisjoint(with: machines[0].software))
            #expect(try await client.allMachines(group: "test").allSatisfy { $0.verified && $0.session == 1 })
        }
    }

    @Test("A machine that was away until its certificate had ended comes back by its key alone: no ticket, no human")
    func comesBack() async throws {
        try await running(arguments: ["--certificate-life", "10s"]) { _, client, machines in
            let software = Set(machines[0].software)
            machines[0].end(with: SIGKILL)
            let first = try certificate(of: machines[0])
            let ended = try await eventually {
                Date() > Date(timeIntervalSince1970: Double(first.notAfter.milliseconds) / 1000 + 1)
            }
            #expect(ended)
            #expect(try await eventually { try await client.allMachines(group: "test")[0].state == .away })
            try machines[0].start()
            try await client.converged("test")
            #expect(try certificate(of: machines[0]).serial != first.serial)
            #expect(!software.isDisjoint(with: machines[0].software), "it ran on and was taken over")
            #expect(try await client.allMachines(group: "test").count == 1)
        }
    }

    @Test(
        "What is damaged of a machine's transport is had again by its key, and its software is not restarted",
        arguments: ["transport.key", "certificate.pem", "trust.pem", "group.key"])
    func damagedTransport(file: String) async throws {
        try await running { _, client, machines in
            let id = try #require(try await client.allMachines(group: "test").first?.id)
            let since = try #require(try await client.machine(id).software?.since)
            for content in [Data(), Data([0x7b, 0x00, 0xff])] {
                machines[0].end(with: SIGKILL)
                let session = try await client.machine(id).session
                try content.write(to: URL(filePath: "\(machines[0].state)/\(file)"))
                try machines[0].start()
                let isBack = try await eventually {
                    let machine = try await client.machine(id)
                    return machine.session > session && machine.state == .running
                }
                #expect(isBack, "\(machines[0].output.suffix(2000))")
                let machine = try await client.machine(id)
                #expect(machine.software?.since == since && machine.software?.restarts == 0)
                // A certificate is no news: machines get others all the time.
                #expect(machine.reason?.contains(file) == (file == "certificate.pem" ? nil : true))
            }
        }
    }

    @Test("A machine that lost its certificate gets another; one that lost its key as well gets none")
    func lostCertificate() async throws {
        try await running { _, client, machines in
            machines[0].end(with: SIGKILL)
            try FileManager.default.removeItem(atPath: machines[0].state + "/certificate.pem")
            try machines[0].start()
            #expect(try await eventually { (try? certificate(of: machines[0])) != nil })
            #expect(try await eventually { try await client.allMachines(group: "test")[0].state == .running })

            machines[0].end(with: SIGKILL)
            let before = try await client.allMachines(group: "test")
            let id = try #require(before.first?.id)
            let away = machines[0].state + ".away"
            try FileManager.default.moveItem(atPath: machines[0].state, toPath: away)
            // A machine that knows its name and its ticket, and no key: it makes another one and asks with that.
            try FileManager.default.createDirectory(
                atPath: machines[0].state, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
            for name in ["machine.json", "ticket.json"] {
                try FileManager.default.copyItem(atPath: "\(away)/\(name)", toPath: "\(machines[0].state)/\(name)")
            }
            try machines[0].start()
            let refused = try await eventually {
                try await client.allEvents(machine: id).contains {
                    $0.kind == .registrationRefused && $0.message.contains("another key")
                }
            }
            #expect(refused, "\(machines[0].output.suffix(2000))")
            #expect(!FileManager.default.fileExists(atPath: machines[0].state + "/certificate.pem"))
            let key = try SecurityKey(
                rawRepresentation: Data(contentsOf: URL(fileURLWithPath: machines[0].state + "/security.key")))
            let now = try await client.allMachines(group: "test")
            #expect(now.map(\.id) == [id] && now.map(\.key) == before.map(\.key))
            #expect(now.first?.key != key.publicKey.fingerprint)

            // With its own key it is welcome again.
            machines[0].end(with: SIGKILL)
            try FileManager.default.removeItem(atPath: machines[0].state)
            try FileManager.default.moveItem(atPath: away, toPath: machines[0].state)
            try machines[0].start()
            #expect(try await eventually { try await client.machine(id).state == .running })
        }
    }

    @Test("A revoked machine loses its connection at once and gets no other; the others hear nothing and keep theirs")
    func revoked() async throws {
        try await running(3) { installation, client, machines in
            let views = try await client.allMachines(group: "test")
            let names = try machines.map { try certificate(of: $0).commonName.replacing("test/machines/", with: "") }
            let outcast = try #require(views.first)
            let place = try #require(names.firstIndex(of: outcast.id))
            let stolen = try machines[place].security(in: installation)
            try await Wiretap.with(installation) { tap in
                let retained = try await eventually { tap.messages.count >= 6 }
                #expect(retained, "three orders and three statuses")
                let before = tap.messages.count
                _ = try await client.instruct(machine: outcast.id, .revoke)
                let refused = try await eventually { machines[place].output.contains("certificate revoked") }
                #expect(refused, "\(machines[place].output.suffix(2000))")
                #expect(try await installation.refusal(of: stolen) != nil)
                // By its key it asks for another certificate, and is refused.
                let denied = try await eventually {
                    try await client.allEvents(machine: outcast.id).contains {
                        $0.kind == .registrationRefused && $0.message.contains("revoked")
                    }
                }
                #expect(denied)
                let toOthers = tap.messages.dropFirst(before).filter { message in
                    names.contains { $0 != outcast.id && message.topic.contains("/\($0)/") }
                        && !message.topic.hasSuffix("/status")
                }
                #expect(toOthers.isEmpty, "\(toOthers.map(\.topic))")
                for view in views where view.id != outcast.id {
                    let now = try await client.machine(view.id)
                    #expect(now.session == view.session && now.generation == view.generation)
                }
            }
        }
    }

    @Test("A manager that is killed in the middle of a revocation ends the machine's connection when it is back")
    func revokedOverAKill() async throws {
        try await running { installation, client, machines in
            let machine = try #require(try await client.allMachines(group: "test").first)
            // Committed, but a frozen broker neither reads the list nor takes the connection that would end the other.
            try installation.broker.freeze()
            _ = try await client.instruct(machine: machine.id, .revoke)
            installation.killManager()
            try installation.broker.thaw()
            try await installation.startManager()
            let ended = try await eventually { machines[0].output.contains("certificate revoked") }
            #expect(ended, "\(machines[0].output.suffix(2000))")
        }
    }

    @Test("The authority is changed under running machines: they renew, the old one is dropped, nothing is restarted")
    func authorityChanges() async throws {
        try await running(2) { installation, client, machines in
            let software = machines.map { Set($0.software) }
            let words = try await Wiretap.with(installation) { tap in
                let first = try certificate(of: machines[0]).issuer
                let early = try installation.trunkline("key", "rotate", "ca", "--finish")
                #expect(early.status == 1 && early.error.contains("is not being changed"), "\(early.error)")
                let begun = try installation.trunkline("key", "rotate", "ca")
                #expect(begun.status == 0, "\(begun.error)")
                let renewed = try await eventually {
                    try machines.allSatisfy { try certificate(of: $0).issuer != first }
                }
                #expect(renewed)
                return tap.messages
            }
            let finished = try installation.trunkline("key", "rotate", "ca", "--finish")
            #expect(finished.status == 0, "\(finished.error)")
            #expect(try installation.curl("GET", "/healthz").status == 200, "trust.pem still serves for the API")
            // With the old authority gone from the broker, everybody comes back after its restart.
            try await installation.broker.restart(keepingPersistence: true)
            try await client.converged("test")
            let back = try await eventually {
                try await client.allMachines(group: "test").allSatisfy { $0.session > 1 && $0.state == .running }
            }
            #expect(back)
            #expect(zip(machines, software).allSatisfy { !$1.isDisjoint(with: $0.software) })
            #expect(try await client.allMachines(group: "test").allSatisfy { $0.generation == 1 })
            let invited = try await client.createGroup(
                Installation.record("late", software: "soft@1", count: 1, platform: "local"))
            _ = try await client.instruct(group: invited.name, .start)
            try await client.converged("late")
            try await Wiretap.with(installation) { tap in
                try await say(words, again: tap, to: machines, client)
            }
            #expect(zip(machines, software).allSatisfy { !$1.isDisjoint(with: $0.software) })
        }
    }

    /// The broker's operator says every order and answer that he ever heard once more: nobody trusts an authority that is gone.
    private func say(
        _ words: [Message], again tap: Wiretap, to machines: [InvitedMachine], _ client: TrunklineClient
    ) async throws {
        func trusted() throws -> [String] {
            try machines.map { try String(contentsOfFile: $0.state + "/trust.pem", encoding: .utf8) }
        }
        // Each machine has heard of the one authority that is left.
        let isFinished = try await eventually {
            try trusted().allSatisfy { $0.components(separatedBy: "BEGIN CERTIFICATE").count == 2 }
        }
        #expect(isFinished)
        let (before, certificates) = (try trusted(), try machines.map { try certificate(of: $0).serial })
        let orders = words.filter { !$0.payload.isEmpty && $0.topic.hasSuffix("/order") }
        let answers = words.filter { $0.topic.hasSuffix("/answer") }
        #expect(Set(orders.map(\.topic)).count == machines.count && !answers.isEmpty)
        // A machine that had believed one would soon be told better: it must not have been so for a moment.
        var seen = Set(before)
        for word in answers + orders {
            try await tap.say(word.payload, on: word.topic)
            seen.formUnion(try trusted())
        }
        for topic in Set(orders.map(\.topic)) {
            let oldest = try #require(orders.first { $0.topic == topic })
            try await tap.say(oldest.payload, on: topic)
        }
        let told = try await eventually {
            seen.formUnion(try trusted())
            return try await client.allMachines(group: "test").allSatisfy {
                $0.reason?.contains("older word") == true
            }
        }
        #expect(told)
        #expect(seen == Set(before))
        #expect(try machines.map { try certificate(of: $0).serial } == certificates)
    }

    @Test("The old authority stays while a machine knows no other, and over a manager that is killed in the change")
    func authorityIsKept() async throws {
        try await running(arguments: ["--certificate-life", "10s"]) { installation, client, machines in
            machines[0].end(with: SIGKILL)
            let last = try certificate(of: machines[0])
            let ended = try await eventually {
                Date() > Date(timeIntervalSince1970: Double(last.notAfter.milliseconds) / 1000 + 1)
            }
            #expect(ended)
            #expect(try installation.trunkline("key", "rotate", "ca").status == 0)
            let finished = try installation.trunkline("key", "rotate", "ca", "--finish")
            #expect(
                finished.status == 1 && finished.error.contains("1 machine has no certificate"), "\(finished.error)")

            // The new key was written, its certificate was not.
            installation.killManager()
            try TransportKey().pem.write(
                toFile: installation.data + "/ca/ca.key", atomically: true, encoding: .utf8)
            try await installation.startManager(["--certificate-life", "10s"])
            try machines[0].start()
            _ = try await installation.withClient { try await $0.converged("test") }
            #expect(try certificate(of: machines[0]).issuer == last.issuer)
            #expect(!FileManager.default.fileExists(atPath: installation.data + "/ca/previous.pem"))
        }
    }

    @Test("A debug certificate reads everything on the broker and can say nothing; it is short-lived")
    func debug() async throws {
        try await running { installation, client, _ in
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

    @Test(
        "The broker's certificate does not pass for the API's, nor the API's for the broker's, and older data gets there by itself"
    )
    func purposes() async throws {
        try await running { installation, client, _ in
            let boot = try #require(installation.broker.bootURL.flatMap { BrokerAddress($0) })
            func asks(_ port: Int, trusting file: String) throws -> Ended {
                try Ended.run(
                    URL(filePath: "/usr/bin/openssl"),
                    [
                        "s_client", "-connect", "127.0.0.1:\(port)", "-CAfile", file, "-no-CApath",
                        "-verify_return_error", "-verify_ip", "127.0.0.1",
                    ])
            }
            func separate() throws {
                let api = try #require(URL(string: installation.server)?.port)
                let (forAPI, forBroker) = (installation.trustFile, installation.brokerTrustFile)
                for (port, file, isBelieved) in [
                    (api, forAPI, true), (boot.port, forBroker, true), (api, forBroker, false),
                    (boot.port, forAPI, false),
                ] {
                    let asked = try asks(port, trusting: file)
                    let said = asked.output + asked.error
                    #expect(said.contains("Verify return code: 0 (ok)") == isBelieved, "\(port) \(file): \(said)")
                    #expect(said.contains("verify error:") != isBelieved, "\(port) \(file): \(said)")
                }
                func lists(trusting file: String) throws -> String {
                    let ended = try Ended.run(
                        Installation.programs.appending(path: "trunkline"),
                        [
                            "group", "list", "--server", "https://127.0.0.1:\(boot.port)", "--token", "x", "--trust",
                            file,
                        ])
                    #expect(ended.status == 1)
                    return ended.error
                }
                #expect(try lists(trusting: forAPI).contains("its certificate is not one to trust"))
                #expect(try !lists(trusting: forBroker).contains("its certificate is not one to trust"))
            }
            try separate()
            // A machine that is sent to the API instead of the broker does not begin to speak.
            var ticket = try await client.invite(to: "test", InvitationRequest(uses: 1, ttl: .minutes(5)))
            let api = try #require(URL(string: installation.server)?.port)
            (ticket.boot, ticket.brokers) = ("mqtts://127.0.0.1:\(api)", nil)
            let misled = try InvitedMachine("misled", ticket: ticket, in: installation)
            try misled.start()
            let isRefused = try await eventually { misled.output.contains("certificate verify failed") }
            misled.end(with: SIGTERM)
            #expect(isRefused, "\(misled.output)")

            // As an earlier version left it: one authority for both.
            #expect(try await installation.endManager() == 0)
            for name in ["api.pem", "api.key"] {
                try FileManager.default.removeItem(atPath: "\(installation.data)/ca/\(name)")
            }
            try FileManager.default.removeItem(atPath: installation.trustFile)
            try FileManager.default.copyItem(
                atPath: installation.data + "/ca/ca.pem", toPath: installation.trustFile)
            try await installation.startManager()
            try separate()
            let isBack = try await installation.withClient { client in
                try await eventually { try await client.allMachines(group: "test").allSatisfy { $0.state == .running } }
            }
            #expect(isBack)
            // One for both by hand is refused.
            #expect(try await installation.endManager() == 0)
            for end in ["pem", "key"] {
                try FileManager.default.removeItem(atPath: "\(installation.data)/ca/api.\(end)")
                try FileManager.default.copyItem(
                    atPath: "\(installation.data)/ca/ca.\(end)", toPath: "\(installation.data)/ca/api.\(end)")
            }
            let refused = try Ended.run(
                Installation.programs.appending(path: "trunkline"),
                ["serve", "--data", installation.data, "--listen", "127.0.0.1:0", "--broker", installation.broker.url])
            #expect(refused.status == 1 && refused.error.contains("the REST API needs another"), "\(refused.error)")
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
