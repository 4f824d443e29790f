import Client
import Fleet
import Foundation
import Simulator
import Testing

@Suite("trunkline simulate", .serialized)
struct SimulateTests {
    @Test("Fifty machines of every behaviour come over TLS, are mended, switch, and nothing is lost or left")
    func simulates() async throws {
        try await Installation.with { installation, client in
            let ended = try installation.trunkline(
                "simulate", "--machines", "50", "--for", "3s", "--drifts", "10", "--switch-after", "2s", "--seed", "7",
                "--behave", "flapping=1,failing=1,garbage=1,losing=1,cloned=1", "--within", "30s", "--remove",
                "-o", "json")
            #expect(ended.status == 0, "\(ended.error)")
            let report = try JSONDecoder().decode(SimulationReport.self, from: Data(ended.output.utf8))
            #expect(report.lost.isEmpty && report.left.isEmpty && report.notUnderstood == 0, "\(ended.output)")
            #expect(report.registered == 50 && report.registration?.count == 50)
            #expect(try #require(report.mended).count == 10)
            #expect(try #require(report.switched).count >= 45, "all that are steady")
            #expect(report.behaviours[.steady] == 45)
            #expect(ended.error.contains("all have joined"), "\(ended.error)")
            #expect(try await client.allGroups().isEmpty)
            #expect(try await client.allSoftware().isEmpty)
            let seen = try await client.events(group: "simulated", machine: nil, after: 0, limit: 1000).items
            #expect(Set(seen.map(\.kind)).isSuperset(of: [.machineRegistered, .machineVerified]))
        }
    }

    @Test(
        "What is there is used only where it fits, and what stays is named; nonsense is refused before anything is made"
    )
    func refusals() async throws {
        try await Installation.with { installation, client in
            func refused(_ arguments: String..., status: Int32 = 2, because why: String) throws {
                let ended = try installation.trunkline(["simulate"] + arguments + ["--within", "1s"])
                #expect(ended.status == status && ended.error.contains(why), "\(arguments): \(ended.error)")
            }
            try refused("--machines", "0", because: "--machines takes 1 to 10000")
            try refused("--behave", "quick=5%", because: "no behaviour is called \"quick\"; there are steady, slow")
            try refused("--machines", "2", "--behave", "slow=3,losing=2", because: "--behave: ")
            try refused("--group", "Edge", because: "\"Edge\" is no name")
            try refused("--reboot-all-after", "2m", because: "is after the end (--for 30s)")
            #expect(try await client.allGroups().isEmpty)
            #expect(try await client.allSoftware().isEmpty)

            let left = try installation.trunkline(
                "simulate", "--group", "own", "--machines", "2", "--for", "1s", "--drifts", "0")
            #expect(left.status == 0 && left.output.contains("trunkline group rm own --force"), "\(left.error)")
            #expect(try await client.allMachines(group: "own").count == 2)
            // Only two are wanted there.
            try refused("--group", "own", "--machines", "1", status: 1, because: "there is no room for 1 more")
            try refused("--group", "own", "--switch-after", "1s", status: 1, because: "own is there already")
            let record = try await client.group("own").text.replacing("count = 2", with: "count = 3")
            _ = try await client.changeGroup("own", to: record)
            try refused("--group", "own", "--machines", "1", because: "say --yes if it is meant")
            let more = try installation.trunkline(
                "simulate", "--group", "own", "--machines", "1", "--for", "1s", "--drifts", "1", "--yes",
                "--within", "20s")
            #expect(more.status == 0 && more.output.contains("1 machine of group own"), "\(more.error)")
            #expect(try await client.allMachines(group: "own").count == 3)
            try await client.removeGroup("own", force: true)
        }
    }
}
