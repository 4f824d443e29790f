import Fleet
import Foundation
import HTTPTypes
import HummingbirdTesting
import Simulator
import Testing

@testable import Manager

@Suite("Metrics")
struct MetricsTests {
    /// Of the text format: a series' name and labels, and its value.
    private func series(_ text: String) -> [String: Double] {
        let pairs = text.split(separator: "\n").filter { !$0.hasPrefix("#") }.compactMap { line -> (String, Double)? in
            guard let gap = line.lastIndex(of: " ") else { return nil }
            return (String(line[..<gap]), Double(line[line.index(after: gap)...]) ?? .nan)
        }
        return Dictionary(pairs) { first, _ in first }
    }

    @Test("A group's machines are each in one state, and the metrics that its record names are added up")
    func groups() async throws {
        try await Site.with { (site) async throws in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                var record = Site.record(count: 3, platform: "none")
                let end = try #require(record.lastIndex(of: "}"))
                record.insert(
                    contentsOf: "rule \"busy\" { when metric(\"calls\") > 90 for 10s then notify(\"busy\") }\n", at: end
                )
                let created = try await ask(.post, "/v1/groups", record)
                #expect(created.status == 201, "\(created.body)")
                _ = try await ask(.post, "/v1/groups/test/start")
                let ticket = try await site.control.invite(
                    to: "test", InvitationRequest(uses: 3, ttl: .hours(1)), by: Site.user)
                for (index, state) in [MachineState.idle, .idle, .failed].enumerated() {
                    var machine = PaperMachine("test-xaaaaaa\(index)", ticket: ticket)
                    try await site.say(machine.registration(), on: machine.registerTopic)
                    let status = try machine.status(
                        sequence: 1, state: state, metrics: index == 2 ? ["other": 1] : ["calls": 4, "other": 7])
                    try await site.say(status, on: machine.statusTopic)
                }
                let found = series(try await ask(.get, "/metrics").body)
                let states = MachineState.allCases.map {
                    found["trunkline_group_state_machines{group=\"test\",state=\"\($0.rawValue)\"}"]
                }
                #expect(states.compactMap(\.self).reduce(0, +) == 3 && !states.contains(nil))
                #expect(found["trunkline_group_state_machines{group=\"test\",state=\"idle\"}"] == 2)
                #expect(found["trunkline_group_metric_sum{group=\"test\",metric=\"calls\"}"] == 8)
                #expect(found["trunkline_group_metric_machines{group=\"test\",metric=\"calls\"}"] == 2)
                #expect(!found.keys.contains { $0.contains("other") })
                #expect(found["trunkline_build_info{version=\"\(Version.text)\"}"] == 1)
            }
        }
    }

    @Test("Of the process they say what Prometheus' libraries say of every process")
    func process() async throws {
        try await Site.with { (site) async throws in
            let found = series(await site.control.metricsText(within: nil))
            let now = Date().timeIntervalSince1970
            let start = try #require(found["process_start_time_seconds"])
            // It is this process, which cannot have begun before the machine did.
            #expect(start <= now + 2 && start > now - Double(ProcessInfo.processInfo.systemUptime) - 2)
            #expect(try #require(found["process_resident_memory_bytes"]) > 1_000_000)
            #expect(try #require(found["process_open_fds"]) > 3)
            #expect(try #require(found["process_cpu_seconds_total"]) > 0)
        }
    }

    @Test("The alerts that come with it ask for series that there are")
    func alerts() async throws {
        let home = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../..")
        let rules = try String(
            contentsOf: home.appending(path: "Config/prometheus/trunkline.rules.yml"), encoding: .utf8)
        let asked = Set(rules.matches(of: /trunkline_[a-z_]+/).map { String($0.output) })
        #expect(asked.count > 8)
        try await Site.with { (site) async throws in
            let text = await site.control.metricsText(within: nil)
            // A plain broker has no authority.
            for name in asked where name != "trunkline_authority_expires_timestamp_seconds" {
                #expect(text.contains("# TYPE \(name) "), "\(name)")
            }
        }
    }
}
