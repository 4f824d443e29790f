import Fleet
import HTTPTypes
import HummingbirdTesting
import Simulator
import Testing

@testable import Manager

@Suite("What machines can add to the manager's metrics")
struct MetricsBoundTests {
    @Test("Neither machines nor the metrics that their software names become series")
    func series() async throws {
        try await Site.with { (site) async throws in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                #expect(try await ask(.post, "/v1/groups", Site.record(count: 9, platform: "none")).status == 201)
                #expect(try await ask(.post, "/v1/groups/test/start").status == 202)
                let ticket = try await site.control.invite(
                    to: "test", InvitationRequest(uses: 9, ttl: .hours(1)), by: Site.user)
                func names() async throws -> Set<Substring> {
                    let text = try await ask(.get, "/metrics").body
                    return Set(
                        text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { $0.prefix { $0 != " " } })
                }
                func join(_ index: Int) async throws {
                    var machine = PaperMachine("test-xaaaaaa\(index)", ticket: ticket)
                    try await site.say(machine.registration(), on: machine.registerTopic)
                    let metrics = (0..<64).map { ("odd_\(index)_\($0)", Double($0)) }
                    let status = try machine.rawStatus(
                        sequence: 1, metrics: Dictionary(uniqueKeysWithValues: metrics), reason: "odd")
                    try await site.say(status, on: machine.statusTopic)
                    let view = try await site.control.machine(machine.id)
                    #expect(view.metrics.count == 64, "it is heard")
                }
                try await join(0)
                let one = try await names()
                for index in 1..<9 { try await join(index) }
                #expect(try await names() == one)
                #expect(!one.contains { $0.contains("odd") || $0.contains("test-x") })
            }
        }
    }
}
