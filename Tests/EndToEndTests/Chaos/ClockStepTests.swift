import Client
import Fleet
import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

@Suite("The manager's time of day is set to another", .serialized)
struct ClockStepTests {
    private static let year: Int64 = 31_536_000
    private static let hasCompiler: Bool = {
        let found = try? Ended.run(URL(fileURLWithPath: "/usr/bin/env"), ["clang", "--version"])
        if found?.status != 0 { print("no clock is stepped, since there is no compiler to make the means for it") }
        return found?.status == 0
    }()

    private func instant(_ time: Timestamp) -> Int64 { time.milliseconds / 1000 }
    private var trueTime: Int64 { Int64(Date().timeIntervalSince1970) }

    @Test(
        "An hour or a year forward or back changes what is shown, and nothing else: whoever is there stays, and whoever comes is taken",
        .enabled(if: hasCompiler, "there is no compiler"))
    func steps() async throws {
        let made = Mutex<SteppedClock?>(nil)
        try await Installation.with(prepare: { installation in
            let clock = try SteppedClock(in: installation.directory)
            installation.setEnvironment(clock?.environment ?? [:])
            made.withLock { $0 = clock }
        }) { installation, client in
            let clock = try #require(made.withLock { $0 })
            let machines = try await installation.verifiedMachines(2, client, heartbeat: "1s")
            let before = try await Census(of: installation, client, program: "start.sh")
            #expect(before.machines.count == 2 && before.machines.allSatisfy { !$0.processes.isEmpty })
            let last = try #require(try await client.allEvents().last?.id)

            for step in [3600, -3600, Self.year, -Self.year, 0] {
                try clock.step(by: step)
                // What is written down now bears the new time.
                try await client.setSecret("mark", to: "\(step)")
                let mark = try #require(try await client.allEvents().last { $0.kind == .secretSet })
                #expect(abs(instant(mark.at) - trueTime - step) < 600, "\(mark)")
                // More than the heartbeats after which somebody is away, and half a second, after which he would be replaced.
                try await Task.sleep(for: .seconds(4))
                machines[1].end(with: SIGKILL)
                #expect(
                    try await eventually { try await client.allMachines(group: "test").contains { $0.state == .away } })
                try machines[1].start()
                try await client.converged("test")
            }
            let losses = before.losses(until: try await Census(of: installation, client, program: "start.sh"))
            #expect(losses.isEmpty, "\(losses)")
            // Its agent, which the test itself killed; the other was never missed.
            let away = try await client.allEvents().filter { $0.id > last && $0.kind == .machineAway }
            #expect(Set(away.map(\.machine)).count == 1, "\(away)")
        }
    }
}
