import Client
import Fleet
import Foundation
import Glibc
import Synchronization
import Testing
import TestSupport

@Suite("Several addresses of the broker")
struct BrokerAddressTests {
    @Test(
        "a ticket and an order carry all of them, and they are tried in turn; machines follow a broker that moves, with their software"
    )
    func moves() async throws {
        let made = Mutex<[Relay]>([])
        try await Installation.with(more: { installation in
            let relays = try [Relay(to: installation.broker.port), Relay(to: installation.broker.port)]
            made.withLock { $0 = relays }
            // Nobody is at the first.
            return ["mqtts://127.0.0.1:1", "mqtts://127.0.0.1:\(relays[0].port)"].flatMap {
                ["--broker-for-machines", $0]
            }
        }) { installation, client in
            let relays = made.withLock { $0 }
            let addresses = relays.map { "mqtts://127.0.0.1:\($0.port)" }
            let machine = try #require(try await installation.verifiedMachines(1, client, heartbeat: "1s").first)
            let ticket = try await client.invite(to: "test", InvitationRequest(uses: 1, ttl: .minutes(5)))
            #expect(ticket.broker == "mqtts://127.0.0.1:1")
            #expect(ticket.brokers?.known == ["mqtts://127.0.0.1:1", addresses[0]])
            let before = try #require(try await client.allMachines(group: "test").first)

            // It hears of the new address over the old one, which then goes for good.
            installation.killManager()
            try await installation.startManager(["--broker-for-machines", addresses[1]])
            try await installation.withClient { client in
                let isHeard = try await eventually {
                    let isReady = try await client.isReady()
                    let machine = try await client.machine(before.id)
                    return isReady && machine.verified
                }
                #expect(isHeard)
                let heard = try await client.machine(before.id)
                // The order that names it is answered with a status.
                let isAnswered = try await eventually {
                    guard let then = heard.heardAt, let now = try await client.machine(before.id).heardAt else {
                        return false
                    }
                    return now > then + .seconds(1)
                }
                #expect(isAnswered)
                try await relays[0].close()
                let isBack = try await eventually(within: .seconds(90)) {
                    let now = try await client.machine(before.id)
                    return now.session > heard.session && now.state == .running
                }
                #expect(isBack, "\(machine.output.suffix(1500))")
                let now = try await client.machine(before.id)
                #expect(now.software?.since == before.software?.since && now.software?.restarts == 0)
            }
            try await relays[1].close()
        }
    }

    @Test("the manager itself tries all addresses in turn, of both brokers, and no software is touched because of it")
    func ofTheManager() async throws {
        let made = Mutex<[Relay]>([])
        try await Installation.with(prepare: { installation in
            let boot = try #require(installation.broker.bootPort)
            let relays = try [installation.broker.port, installation.broker.port, boot, boot].map { try Relay(to: $0) }
            made.withLock { $0 = relays }
            let (nobody, urls) = ("mqtts://127.0.0.1:1", relays.map { "mqtts://127.0.0.1:\($0.port)" })
            installation.setBrokers(
                BrokerAddresses(known: [nobody] + urls[..<2], boot: [nobody] + urls[2...]))
        }) { installation, client in
            let relays = made.withLock { $0 }
            let machine = try #require(try await installation.verifiedMachines(1, client, heartbeat: "1s").first)
            let before = try #require(try await client.allMachines(group: "test").first)
            // These addresses go for good, under whoever uses them; there is no other way than the last ones then.
            try await relays[0].close()
            try await relays[2].close()
            let isBack = try await eventually(within: .seconds(90)) {
                guard try await client.isReady() else { return false }
                let now = try await client.machine(before.id)
                return now.session > before.session && now.state == .running
            }
            #expect(isBack, "\(machine.output.suffix(1500))")
            let now = try await client.machine(before.id)
            #expect(now.software?.since == before.software?.since && now.software?.restarts == 0)
            // Who is excluded is excluded over the address that is left.
            _ = try await client.instruct(machine: before.id, .revoke)
            #expect(try await eventually { machine.output.contains("certificate revoked") })
            for relay in [relays[1], relays[3]] { try await relay.close() }
        }
    }
}
