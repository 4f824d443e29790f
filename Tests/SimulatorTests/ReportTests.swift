import Foundation
import Testing

@testable import Simulator

@Suite("The report of a simulation")
struct ReportTests {
    @Test("Shares of times: half of them, ninety-nine in a hundred, the longest")
    func times() throws {
        #expect(SimulationReport.Times([]) == nil)
        let one = try #require(SimulationReport.Times([.milliseconds(7)]))
        #expect((one.count, one.p50, one.p99, one.max) == (1, 7, 7, 7))
        let many = try #require(SimulationReport.Times((1...200).shuffled().map { .milliseconds($0) }))
        #expect((many.count, many.p50, many.p99, many.max) == (200, 101, 199, 200))
        #expect(many.words == "p50 101 ms, p99 199 ms, max 200 ms")
        let short = try #require(SimulationReport.Times([.microseconds(750)]))
        #expect(short.words == "p50 0.8 ms, p99 0.8 ms, max 0.8 ms")
        #expect(SimulationReport.Times.words(12_340) == "12.3 s")
    }

    private func report(_ counts: Tally.Counts, lost: [String] = []) -> SimulationReport {
        SimulationReport(
            group: "edge", seed: 3, behaviours: [.steady, .slow, .steady, .steady], took: .seconds(20), counts: counts,
            lost: lost, left: ["group edge"], interrupted: false)
    }

    @Test("What was counted stands in it, for people and, whole, for programs")
    func content() throws {
        let tally = Tally()
        for index in 1...4 { tally.note(.registered(.milliseconds(index * 10)), of: "m\(index)", at: .seconds(index)) }
        tally.note(.mended(.milliseconds(2)), of: "m1", at: .seconds(5))
        tally.note(.running(digest: "a"), of: "m1", at: .seconds(5))
        tally.switches(from: "a", at: .seconds(6))
        tally.note(.running(digest: "a"), of: "m1", at: .seconds(7))
        tally.note(.running(digest: "b"), of: "m2", at: .seconds(8))
        // Its twin.
        tally.note(.running(digest: "b"), of: "m2", at: .seconds(9))
        tally.went(100)
        tally.came(300)
        tally.note(.notUnderstood("hm"), of: "m3", at: .seconds(9))
        let report = report(tally.now)
        #expect(report.registered == 4 && report.registrationsPerSecond == 1)
        #expect(report.registration == SimulationReport.Times([10, 20, 30, 40].map { .milliseconds($0) }))
        #expect(report.mended?.p50 == 2 && report.switched == SimulationReport.Times([.seconds(2)]))
        #expect(report.behaviours == [.steady: 3, .slow: 1])
        let lines = Dictionary(report.lines, uniquingKeysWith: { first, _ in first })
        #expect(lines["machines"] == "4: 3 steady, 1 slow (seed 3)")
        #expect(lines["sent"]?.hasPrefix("1 messages, 100 bytes; 0 and 25 a machine") == true)
        #expect(lines["not understood"] == "1 messages\nm3: hm")
        #expect(lines["lost"] == "nothing" && lines["left"] == "group edge")
        let json = try JSONEncoder().encode(report)
        let object = try #require(try JSONSerialization.jsonObject(with: json) as? [String: Any])
        #expect((object["behaviours"] as? [String: Int]) == ["steady": 3, "slow": 1])
        #expect(object["registrations_per_second"] as? Double == 1)
        let again = try JSONDecoder().decode(SimulationReport.self, from: json)
        #expect(again.lost.isEmpty && again.sent == report.sent && again.received.bytes == 300)
    }

    @Test("All that was lost is in the JSON, and the first of it before people's eyes")
    func lost() throws {
        let report = report(Tally().now, lost: (1...30).map { "m\($0) did not get in" })
        let line = try #require(report.lines.first { $0.0 == "lost" }?.1)
        #expect(line.split(separator: "\n").count == 21 && line.hasSuffix("and 10 more"))
        #expect(report.lost.count == 30)
    }
}
