import Client
import Fleet
import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

@Suite("A machine whose group went while nobody could reach it", .serialized)
struct DismissalTests {
    enum Trouble: CaseIterable {
        case frozen, cutOff

        /// Who only sleeps still has the last order in its connection; the other one asks anew, which stands in the history.
        var reason: String {
            switch self {
            case .frozen: "is not wanted in group test any more"
            case .cutOff: "is not a machine of group test any more"
            }
        }
        var leastEvents: Int { self == .frozen ? 0 : 1 }
    }

    @Test(
        "hears that it is not wanted once it can be reached, stops its software and ends, also where there is a group of the same name again",
        arguments: Trouble.allCases)
    func unreachable(_ trouble: Trouble) async throws {
        let made = Mutex<Relay?>(nil)
        try await Installation.with(more: { installation in
            let relay = try Relay(to: installation.broker.port)
            made.withLock { $0 = relay }
            return ["--broker-for-machines", "mqtts://127.0.0.1:\(relay.port)"]
        }) { installation, client in
            let relay = try #require(made.withLock { $0 })
            let machine = try #require(
                try await installation.verifiedMachines(1, client, heartbeat: "1s").first)
            let id = try #require(try await client.allMachines(group: "test").first?.id)
            switch trouble {
            case .frozen: machine.signal(SIGSTOP)
            case .cutOff: relay.refuse()
            }
            #expect(try await eventually { try await client.machine(id).state == .away })
            try await client.removeGroup("test", force: true)
            _ = try await client.createGroup(Installation.record(software: "soft@1", platform: "none"))
            _ = try await client.instruct(group: "test", .start)
            let ticket = try await client.invite(to: "test", InvitationRequest(uses: 1, ttl: .minutes(5)))
            let successor = try InvitedMachine("successor", ticket: ticket, in: installation)
            try successor.start()
            #expect(!machine.software.isEmpty, "nobody could tell it yet")
            switch trouble {
            case .frozen: machine.signal(SIGCONT)
            case .cutOff: relay.serve()
            }
            #expect(try await machine.ended() == 0)
            #expect(machine.output.contains("\(id) \(trouble.reason)"), "\(machine.output)")
            #expect(machine.software.isEmpty)
            try await client.converged("test")
            #expect(try await client.allMachines(group: nil).allSatisfy { $0.id != id })
            #expect(Processes.isAlive(successor.pid) && !successor.software.isEmpty)
            let dismissed = try await client.allEvents().filter { $0.kind == .machineDismissed }
            #expect((trouble.leastEvents...1).contains(dismissed.count) && dismissed.allSatisfy { $0.machine == id })
            try await relay.close()
        }
    }
}
