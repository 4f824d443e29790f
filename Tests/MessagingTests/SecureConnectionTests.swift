import Certificates
import Fleet
import Foundation
import Logging
import Messaging
import Synchronization
import Testing
import TestSupport

/// The repository's broker configuration, with somebody on each side who should not be there.
@Suite("A broker with certificates")
struct SecureConnectionTests {
    @Test("a party with a certificate is known by its common name; large messages pass")
    func known() async throws {
        try await withSecureBroker { site in
            try await site.with("manager") { manager in
                try await manager.connection.subscribe(["trunkline/#"], qos: .atLeastOnce)
                try await site.with("edge/machines/edge-1") { machine in
                    for index in 0..<20 {
                        try await machine.connection.publish(
                            Message(
                                topic: "trunkline/edge/machines/edge-1/status", payload: Data(count: 900_000 + index)))
                    }
                    #expect(try await eventually { manager.inbox.messages.count == 20 })
                    #expect(manager.inbox.messages.map(\.payload.count) == (0..<20).map { 900_000 + $0 })
                }
            }
        }
    }

    @Test(
        "a machine can neither order, nor speak for another, nor say anything that is not its business",
        arguments: [
            "trunkline/edge/machines/edge-1/order", "trunkline/edge/machines/edge-2/status",
            "trunkline/edge/machines/edge-2/log", "trunkline/edge/machines/edge-2/register",
            "trunkline/edge/machines/edge-1/answer", "trunkline/edge/software/d/0", "trunkline/manager",
            "trunkline/other/machines/edge-1/status", "trunkline/other/machines/edge-1/log",
            "trunkline/other/machines/edge-1/register", "trunkline/edge/register/edge-1",
            "trunkline/other/register/edge-1", "trunkline/edge-1/status", "trunkline/edge/machines/edge-1",
            "trunkline/edge/machines/edge-1/status/more", "elsewhere",
        ])
    func cannotSay(topic: String) async throws {
        try await withSecureBroker { site in
            try await site.with("edge/machines/edge-1") { machine in
                await #expect(throws: MessagingError.self) {
                    try await machine.connection.publish(Message(topic: topic, payload: Data("x".utf8)))
                }
            }
        }
    }

    @Test("a machine hears its own order, answer and software, and nothing else, even if it asks for #")
    func cannotHear() async throws {
        try await withSecureBroker { site in
            try await site.with("manager") { manager in
                try await site.with("edge/machines/edge-1") { machine in
                    try await machine.connection.subscribe(["#", "trunkline/#", "$SYS/#"], qos: .atLeastOnce)
                    let own = [
                        "trunkline/edge/machines/edge-1/order", "trunkline/edge/machines/edge-1/software/d/0",
                        "trunkline/edge/machines/edge-1/answer", "trunkline/edge/software/d/0",
                    ]
                    let others = [
                        "trunkline/edge/machines/edge-2/order", "trunkline/edge/machines/edge-2/status",
                        "trunkline/edge/machines/edge-1/log", "trunkline/edge/machines/edge-2/software/d/0",
                        "trunkline/edge/machines/edge-2/answer", "trunkline/manager", "trunkline/answers/boot-x",
                    ]
                    for topic in others + own {
                        try await manager.connection.publish(Message(topic: topic, payload: Data("x".utf8)))
                    }
                    #expect(try await eventually { Set(machine.inbox.messages.map(\.topic)) == Set(own) })
                }
            }
        }
    }

    @Test("a booting machine can register and hear its own answer; nothing else that it says is heard")
    func boot() async throws {
        try await withSecureBroker { site in
            try await site.managerAtBoot { manager in
                try await manager.connection.subscribe(["#"], qos: .atLeastOnce)
                try await site.boot("boot-1") { machine in
                    try await machine.connection.subscribe(["trunkline/answers/boot-1", "#"], qos: .atLeastOnce)
                    for topic in [
                        "trunkline/edge/machines/edge-1/status", "trunkline/edge/machines/edge-1/order",
                        "trunkline/manager", "trunkline/answers/boot-1", "boot/trunkline/edge/register/edge-1",
                    ] {
                        await #expect(throws: MessagingError.self, "\(topic)") {
                            try await machine.connection.publish(Message(topic: topic, payload: Data("x".utf8)))
                        }
                    }
                    try await machine.connection.publish(
                        Message(topic: "trunkline/edge/register/edge-1", payload: Data("please".utf8)))
                    #expect(try await eventually { !manager.inbox.messages.isEmpty })
                    #expect(manager.inbox.messages.map(\.topic) == ["trunkline/edge/register/edge-1"])
                    for client in ["boot-2", "boot-1"] {
                        try await manager.connection.publish(
                            Message(topic: "trunkline/answers/\(client)", payload: Data("x".utf8)))
                    }
                    #expect(try await eventually { !machine.inbox.messages.isEmpty })
                    // Twice, by each subscription.
                    #expect(Set(machine.inbox.messages.map(\.topic)) == ["trunkline/answers/boot-1"])
                }
            }
        }
    }

    @Test("without a certificate nobody gets the connection or the name of a party that has one")
    func impostors() async throws {
        try await withSecureBroker { site in
            let trust = site.authority.pem
            try await site.with("edge/machines/edge-1") { machine in
                try await site.managerAtBoot { manager in
                    // The known broker without a certificate; the boot broker under the manager's name, with and without a password.
                    for route in [
                        BrokerRoute(
                            broker: site.broker, clientID: "edge-1", security: TransportSecurity(trust: trust)),
                        BrokerRoute(
                            broker: site.boot, clientID: "boot-1",
                            security: TransportSecurity(trust: trust, login: .init(name: "manager", password: ""))),
                        BrokerRoute(
                            broker: site.boot, clientID: "boot-1",
                            security: TransportSecurity(trust: trust, login: .init(name: "manager", password: "x"))),
                        BrokerRoute(
                            broker: site.boot, clientID: "boot-1",
                            security: TransportSecurity(trust: trust, login: .init(name: "edge-1", password: "x"))),
                    ] { #expect(try await site.refusal(of: route) != nil) }
                    // Under their ids at the boot broker he takes nobody's place.
                    for id in ["edge-1", "manager"] {
                        try await site.boot(id) { stranger in
                            await #expect(throws: MessagingError.self) {
                                try await stranger.connection.publish(
                                    Message(topic: "trunkline/edge/machines/edge-1/status", payload: Data("x".utf8)))
                            }
                        }
                    }
                    try await machine.connection.publish(
                        Message(topic: "trunkline/edge/machines/edge-1/status", payload: Data("still here".utf8)))
                    #expect(machine.inbox.disconnects.isEmpty)
                    #expect(manager.inbox.disconnects.isEmpty)
                }
            }
        }
    }

    @Test(
        "a certificate of another authority, an expired one and a server's are refused; so is a broker of another authority"
    )
    func wrongCertificates() async throws {
        try await withSecureBroker { site in
            let other = try CertificateAuthority(life: .hours(1), at: .test)
            let key = TransportKey()
            let certificates = [
                try other.issue(to: "edge/machines/edge-1", for: .client, key: key, life: .hours(1), at: .test),
                try site.authority.issue(
                    to: "edge/machines/edge-1", for: .client, key: key, life: .hours(1), at: .test - .hours(2)),
                try site.authority.issue(to: "edge-1", for: .server(names: []), key: key, life: .hours(1), at: .test),
            ]
            for certificate in certificates {
                let security = TransportSecurity(
                    trust: site.authority.pem, identity: .init(certificate: certificate.pem, key: key.pem))
                let reason = try await site.refusal(
                    of: BrokerRoute(broker: site.broker, clientID: "boot-1", security: security))
                #expect(reason?.contains("TLS with the broker") == true, "\(reason ?? "accepted")")
            }
            let distrustful = BrokerRoute(
                broker: site.boot, clientID: "boot-1", security: TransportSecurity(trust: other.pem))
            #expect(try await site.refusal(of: distrustful)?.contains("certificate verify failed") == true)
            var misnamed = BrokerRoute(
                broker: site.boot, clientID: "boot-1", security: TransportSecurity(trust: site.authority.pem))
            misnamed.broker.host = "localhost"
            let reason = try await site.refusal(of: misnamed)
            #expect(reason?.contains("TLS") == true, "\(reason ?? "accepted")")
        }
    }

    @Test("a broker that is not there is told from one that refuses")
    func notThere() async throws {
        let port = try FreePort.next()
        let nobody = BrokerAddress(host: "127.0.0.1", port: port, isSecure: true)
        let authority = try CertificateAuthority(life: .hours(1), at: .test)
        let outcomes = Outcomes()
        let party = Party(
            Connection.Configuration { outcome in
                outcomes.note(outcome)
                return BrokerRoute(
                    broker: nobody, clientID: "boot-1", security: TransportSecurity(trust: authority.pem))
            }, waits: false)
        try await party.run {
            let tried = try await eventually { outcomes.all.count >= 3 }
            #expect(tried)
            #expect(outcomes.all.prefix(3) == [.none, .unreachable, .unreachable])
            #expect(party.inbox.disconnects.first == "Connection refused")
        }
    }

    @Test(
        "a revoked certificate is refused after a reload; another authority can be trusted beside the first",
        arguments: [false, true])
    func reload(nohup: Bool) async throws {
        try await withSecureBroker(nohup: nohup) { site in
            let key = TransportKey()
            let certificate = try site.authority.issue(
                to: "edge/machines/edge-1", for: .client, key: key, life: .hours(1), at: .test)
            let second = try CertificateAuthority(life: .hours(1), at: .test)
            let newer = try second.issue(to: "edge/machines/edge-2", for: .client, key: key, life: .hours(1), at: .test)
            func route(_ certificate: TransportCertificate) -> BrokerRoute {
                BrokerRoute(
                    broker: site.broker, clientID: "boot-1",
                    security: TransportSecurity(
                        trust: site.authority.pem, identity: .init(certificate: certificate.pem, key: key.pem)))
            }
            #expect(try await site.refusal(of: route(certificate)) == nil)
            #expect(try await site.refusal(of: route(newer)) != nil)
            try site.write(
                "crl.pem",
                try site.authority.revocationList(
                    [.init(serial: certificate.serial, at: .test)], number: 2, at: .test - .seconds(59))
                    + second.revocationList([], number: 1, at: .test - .seconds(60)))
            try site.write("trust.pem", site.authority.pem + second.pem)
            try site.process.reload()
            #expect(try await eventually { try await site.refusal(of: route(certificate)) != nil })
            #expect(try await eventually { try await site.refusal(of: route(newer)) == nil })
        }
    }

    @Test("a connection goes another way when it is asked to connect anew")
    func reconnects() async throws {
        try await withSecureBroker { site in
            let key = TransportKey()
            let certificate = try site.authority.issue(
                to: "edge/machines/edge-1", for: .client, key: key, life: .hours(1), at: .test)
            let trust = site.authority.pem
            let (boot, broker) = (site.boot, site.broker)
            let party = Party(
                Connection.Configuration { outcome in
                    outcome == .none
                        ? BrokerRoute(broker: boot, clientID: "boot-1", security: TransportSecurity(trust: trust))
                        : BrokerRoute(
                            broker: broker, clientID: "boot-1",
                            security: TransportSecurity(
                                trust: trust, identity: .init(certificate: certificate.pem, key: key.pem)))
                })
            try await party.run {
                await #expect(throws: MessagingError.self) {
                    try await party.connection.publish(
                        Message(topic: "trunkline/edge/machines/edge-1/status", payload: Data("x".utf8)))
                }
                party.connection.reconnect()
                #expect(try await eventually { party.inbox.connects == 2 })
                try await party.connection.publish(
                    Message(topic: "trunkline/edge/machines/edge-1/status", payload: Data("x".utf8)))
            }
        }
    }
}

private final class Outcomes: Sendable {
    private let state = Mutex<[BrokerRoute.Outcome]>([])

    var all: [BrokerRoute.Outcome] { state.withLock { $0 } }
    func note(_ outcome: BrokerRoute.Outcome) { state.withLock { $0.append(outcome) } }
}
