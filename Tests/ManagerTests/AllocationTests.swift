import CAllocations
import Fleet
import Foundation
import Messaging
import Monitor
import Simulator
import Testing

@testable import Manager

/// How often `body` asks for memory on this thread.
private func allocations(_ body: () throws -> Void) rethrows -> Int {
    allocations_begin()
    defer { _ = allocations_end() }
    try body()
    return allocations_end()
}

extension Control {
    fileprivate func allocationsOfBurst() -> Int { allocations { _ = handleBurst() } }
}

/// A count does not depend on the machine. These are of a build without optimisation, which asks more often than one with it.
@Suite("How often a status asks for memory, from the broker's message to what people see of it")
struct AllocationTests {
    /// Of each of many statuses, the mean.
    private func mean(
        isSteady: Bool, rules: String = "", _ status: (inout SettledMachines, _ round: Int) throws -> Message
    ) async throws -> Int {
        let (warmUp, rounds) = (20, 100)
        var sum = 0
        try await SettledMachines.with(4, rules: rules) { settled in
            let site = settled.site
            for round in 0..<(warmUp + rounds) {
                let message = try status(&settled, round)
                // What comes sooner is read on another thread.
                usleep(UInt32(2 * Intake.unhurried / 1000))
                let read = allocations { _ = site.intake.receive(message) }
                let handled = await site.control.allocationsOfBurst()
                #expect(read > 0 && handled > 0)
                #expect(await site.control.monitor.wasSteady == isSteady)
                if round >= warmUp { sum += read + handled }
            }
        }
        return sum / rounds
    }

    @Test("A heartbeat")
    func heartbeat() async throws {
        let mean = try await mean(isSteady: true) { settled, round in try settled.status(of: round % 4) }
        #expect(mean <= 592, "515 when it was written")
    }

    @Test("A status with another load, at which no rule looks")
    func load() async throws {
        let mean = try await mean(isSteady: true) { settled, round in
            try settled.status(of: round % 4, calls: Double(round))
        }
        #expect(mean <= 606, "527 when it was written")
    }

    @Test("A status with another load, at which rules look, of the machine and of the group, that do not hold")
    func lookedAt() async throws {
        let rules =
            #"rule "busy" { when metric("calls") > 1000 then notify("busy") } "#
            + #"rule "all" { when avg(metric("calls")) > 1000 then notify("all") }"#
        let mean = try await mean(isSteady: true, rules: rules) { settled, round in
            try settled.status(of: round % 4, calls: Double(round))
        }
        #expect(mean <= 638, "555 when it was written")
    }

    @Test("A status with another load, with which a rule holds")
    func status() async throws {
        let rule = #"rule "busy" { when metric("calls") < 1000 for 1h then notify("busy") }"#
        let mean = try await mean(isSteady: false, rules: rule) { settled, round in
            try settled.status(of: round % 4, calls: Double(round))
        }
        #expect(mean <= 1018, "891 when it was written")
    }
}
