import Certificates
import Client
import Fleet
import Foundation
import Messaging
import TestSupport
import Testing

@Suite("The authorities that broker, machines and people trust", .serialized)
struct AuthorityTests {
    @Test("The authority is changed under running machines: they renew, the old one is dropped, nothing is restarted")
    func authorityChanges() async throws {
        try await Installation.withMachines(2) { installation, client, machines in
            let software = machines.map { Set($0.software) }
            let words = try await Wiretap.with(installation) { tap in
                let first = try machines[0].certificate.issuer
                let early = try installation.trunkline("key", "rotate", "ca", "--finish")
                #expect(early.status == 1 && early.error.contains("is not being changed"), "\(early.error)")
                let begun = try installation.trunkline("key", "rotate", "ca")
                #expect(begun.status == 0, "\(begun.error)")
                let renewed = try await eventually {
                    try machines.allSatisfy { try $0.certificate.issuer != first }
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
        let (before, certificates) = (try trusted(), try machines.map { try $0.certificate.serial })
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
        #expect(try machines.map { try $0.certificate.serial } == certificates)
    }

    @Test("The old authority stays while a machine knows no other, and over a manager that is killed in the change")
    func authorityIsKept() async throws {
        try await Installation.withMachines(arguments: ["--certificate-life", "10s"]) {
            installation, client, machines in
            machines[0].end(with: SIGKILL)
            let last = try machines[0].certificate
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
            #expect(try machines[0].certificate.issuer == last.issuer)
            #expect(!FileManager.default.fileExists(atPath: installation.data + "/ca/previous.pem"))
        }
    }

    @Test(
        "The broker's certificate does not pass for the API's, nor the API's for the broker's, and older data gets there by itself"
    )
    func purposes() async throws {
        try await Installation.withMachines { installation, client, _ in
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
}
