import Fleet
import Foundation
import HTTPTypes
import HummingbirdTesting
import OperatingSystem
import Simulator
import TestSupport
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

    @Test("An order is timed from the status that led to it, also where a newer one takes its place; others are not")
    func orderLatency() async throws {
        try await Site.with { (site) async throws in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                #expect(try await ask(.post, "/v1/groups", Site.record(count: 1, platform: "none")).status == 201)
                _ = try await ask(.post, "/v1/groups/test/start")
                let ticket = try await site.control.invite(
                    to: "test", InvitationRequest(uses: 1, ttl: .hours(1)), by: Site.user)
                var machine = PaperMachine("test-xaaaaaaa", ticket: ticket)
                try await site.say(machine.registration(), on: machine.registerTopic)
                #expect(site.drafts.map(\.asked) == [nil])
                // Another digest than its order's.
                let other = RunningSoftware(
                    name: "soft", version: "1", digest: String(repeating: "0", count: 64), generation: 1,
                    health: .passing, since: .now, restarts: 0)
                let before = Timestamp.now
                try await site.say(machine.status(sequence: 1, order: 1, software: other), on: machine.statusTopic)
                let after = Timestamp.now
                // It waits still, and what takes its place was asked for by a person.
                _ = try await ask(.post, "/v1/machines/\(machine.id)/restart")
                await site.control.drain()
                let drafts = site.drafts
                let asked = try #require(drafts.first?.asked)
                #expect(drafts.count == 1 && asked >= before && asked <= after)
                // Nor is what was answered once asked for for ever.
                _ = try await ask(.post, "/v1/machines/\(machine.id)/restart")
                await site.control.drain()
                #expect(site.drafts.map(\.asked) == [nil])
            }
        }
    }

    @Test("How long orders took stands in buckets of which each has what is in those before it")
    func histogram() {
        let counters = Counters()
        counters.orderPublished()
        for milliseconds in [0, 1, 2, 3, 70, 60_000, 60_001] as [Int64] {
            counters.orderPublished(after: .milliseconds(milliseconds))
        }
        var text = MetricsText()
        counters.write(to: &text)
        #expect(text.text.contains("# TYPE trunkline_order_latency_seconds histogram\n"))
        let found = series(text.text)
        let buckets = ["0.001", "0.002", "0.005", "0.05", "0.1", "30", "60", "+Inf"].map {
            found["trunkline_order_latency_seconds_bucket{le=\"\($0)\"}"]
        }
        #expect(buckets == [2, 3, 4, 4, 5, 5, 6, 7])
        #expect(found["trunkline_order_latency_seconds_count"] == 7)
        #expect(found["trunkline_order_latency_seconds_sum"] == 120.077)
        #expect(found["trunkline_orders_published_total"] == 8)
    }

    @Test("Sizes of what grows and ends of certificates are those of the files")
    func sizes() async throws {
        try await Site.with(secure: true) { (site) async throws in
            try await site.rest { (ask) async throws in
                let bundle = try site.bundle()
                _ = try await ask.push(bundle)
                #expect(try await ask(.post, "/v1/groups", Site.record(count: 1, platform: "none")).status == 201)
                let text = await site.control.metricsText(within: nil)
                let found = series(text)
                #expect(found["trunkline_bundles_bytes"] == Double(bundle.count))
                let log = try FileManager.default.attributesOfItem(atPath: site.database + "-wal")[.size] as? Int
                #expect(found["trunkline_records_bytes{file=\"log\"}"] == log.map { Double($0) })
                let journal = site.configuration.path("journal")
                #expect(
                    try await eventually {
                        let files = try FileManager.default.subpathsOfDirectory(atPath: journal)
                        let bytes = try files.map { "\(journal)/\($0)" }.reduce(0) { sum, path in
                            let file = try FileManager.default.attributesOfItem(atPath: path)
                            return file[.type] as? FileAttributeType == .typeRegular
                                ? sum + (file[.size] as? Int ?? 0) : sum
                        }
                        let said = series(await site.control.metricsText(within: nil))["trunkline_journal_bytes"]
                        return bytes > 0 && said == Double(bytes)
                    })
                let end = try #require(found["trunkline_broker_certificate_expires_timestamp_seconds"])
                let days = (end - Date().timeIntervalSince1970) / 86400
                #expect(days > 729 && days < 731)
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
        try await Site.with(secure: true) { (site) async throws in
            let text = await site.control.metricsText(within: nil)
            for name in asked {
                // Of a histogram its buckets are asked for.
                let family = name.replacing("_bucket", with: "")
                #expect(text.contains("# TYPE \(family) "), "\(name)")
            }
        }
    }
}

extension Site {
    /// Orders that wait for the broker, taken out.
    fileprivate var drafts: [OrderDraft] {
        var all: [OrderDraft] = []
        while let (key, element) = control.lanes.publications.next() {
            if case .order(let draft) = element { all.append(draft) }
            control.lanes.publications.finish(key)
        }
        return all
    }
}
