import Fleet
import Foundation
import Messaging
import Testing
import TestSupport

@testable import Agent

@Suite("A log leaves the machine only while somebody watches")
struct WatchedLogTests {
    /// Says each line that is put into a file, once.
    private static let start = SampleBundle.start.replacingOccurrences(
        of: "while :;",
        with: """
            n=1
            while true; do
                if test -e "$TRUNKLINE_RUN/say$n"; then echo "line $n"; n=$((n + 1)); fi
                sleep 0.02
            done
            while :;
            """)

    private func say(_ number: Int, _ agent: AgentProcess) async throws {
        _ = FileManager.default.createFile(atPath: agent.path("run/say\(number)"), contents: nil)
        #expect(try await eventually(within: .seconds(40)) { agent.log.contains("stdout F line \(number)") })
    }

    @Test(
        "The last lines come first, once for each question, then what is new; sealed, and to nobody once the watch ends"
    )
    func watch() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle(start: Self.start)
            try await manager.order(bundle)
            try await manager.running(bundle, generation: 1)
            for number in 1...3 { try await say(number, agent) }
            func order(_ issue: Int, _ watch: OrderContent.Watch?) async throws {
                try await manager.order(bundle, bundle.order(1, issue: issue, watch: watch))
                try await manager.status("heard") { $0.issue.number == issue }
            }
            let lease = TimeSpan.minutes(10)
            try await order(2, .init(request: 7, tail: 2, lease: lease))
            #expect(try await eventually(within: .seconds(40)) { manager.read { $0.log.count } == 1 })
            let first = try #require(manager.read { $0.log.first })
            #expect(first.content.request == 7 && first.content.tail == .last)
            #expect(first.content.lines.map(\.text) == ["line 2", "line 3"])
            #expect(first.content.lines.allSatisfy { $0.stream == .stdout })
            let text = String(decoding: first.payload, as: UTF8.self)
            #expect(text.hasPrefix(#"{"v":2,"group":"edge","machine":"edge-0","session":1,"seq":1,"enc":""#))
            #expect(!text.contains("line"))
            try await say(4, agent)
            #expect(try await eventually(within: .seconds(40)) { manager.read { $0.lines.last } == "line 4" })
            #expect(manager.read { $0.log.last?.content.tail } == nil)
            // The same question again, as each renewal says it, is answered with nothing; another one is.
            try await order(3, .init(request: 7, tail: 2, lease: lease))
            try await say(5, agent)
            #expect(try await eventually(within: .seconds(40)) { manager.read { $0.lines.last } == "line 5" })
            try await order(4, .init(request: 8, tail: 100, lease: lease))
            #expect(try await eventually(within: .seconds(40)) { manager.read { $0.log.last?.content.tail } == .last })
            let lines = ["line 2", "line 3", "line 4", "line 5", "started "] + (1...5).map { "line \($0)" }
            #expect(manager.read { $0.lines } == lines)
            try await order(5, nil)
            #expect(try await eventually(within: .seconds(40)) { agent.output.contains("nobody watches the log") })
            try await say(6, agent)
            // What was sent after line 6 was said would be there before the answer to this order.
            try await order(6, nil)
            #expect(manager.read { $0.lines } == lines && manager.read { $0.wrong } == [])
        }
    }

    @Test("A watch ends by itself, and an order that is said again does not bring it back, nor does a new agent")
    func lease() async throws {
        try await withMachine { manager, agent in
            try agent.start()
            let bundle = try SampleBundle(start: Self.start)
            let watched = bundle.order(1, watch: .init(request: 1, tail: 0, lease: .seconds(3)))
            try await manager.order(bundle, watched)
            try await manager.running(bundle, generation: 1)
            #expect(try await eventually(within: .seconds(40)) { agent.output.contains("nobody watches the log") })
            let before = manager.read { $0.log.count }
            let statuses = manager.statuses.count
            try await manager.order(bundle, watched)
            #expect(try await eventually(within: .seconds(40)) { manager.statuses.count > statuses })
            try await say(1, agent)
            try await agent.end(SIGKILL)
            try agent.start()
            // The broker keeps the order.
            try await manager.status("taken over") { $0.session == 2 && $0.software?.health == .passing }
            try await say(2, agent)
            let next = manager.statuses.count
            try await manager.order(bundle, watched)
            #expect(try await eventually(within: .seconds(40)) { manager.statuses.count > next })
            #expect(manager.read { $0.log.count } == before)
        }
    }
}
