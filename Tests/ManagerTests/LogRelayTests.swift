import Fleet
import Foundation
import HTTPTypes
import HummingbirdTesting
import Messaging
import Simulator
import Sealing
import Testing
import TestSupport

@testable import Client
@testable import Manager

@Suite("Machines' logs for those who watch")
struct LogRelayTests {
    /// A running group with one machine, whose manager is connected with a real broker.
    private func with(
        streamBeat: TimeSpan = .seconds(15), _ body: (Site, PaperMachine) async throws -> Void
    ) async throws {
        try await withBroker { broker in
            try await Site.with(streamBeat: streamBeat, broker: broker.url) { (site) async throws in
                let link = BrokerLink(
                    connection: site.connection, control: site.control, intake: site.intake, logger: site.api.logger)
                let tasks = [Task { await site.connection.run() }, Task { await link.run() }]
                let result: Result<Void, any Error>
                do {
                    #expect(try await eventually { site.connection.isConnected })
                    var machine: PaperMachine?
                    try await site.rest { (ask) async throws in
                        _ = try await ask.push(try site.bundle())
                        _ = try await ask(.post, "/v1/groups", Site.record(count: 1, platform: "none"))
                        #expect(try await ask(.post, "/v1/groups/test/start").status == 202)
                    }
                    var paper = PaperMachine("test-xaaaaaaa", ticket: try await site.ticket(uses: 1))
                    try await site.say(paper.registration(), on: paper.registerTopic)
                    machine = paper
                    result = .success(try await body(site, try #require(machine)))
                } catch { result = .failure(error) }
                await site.connection.close()
                for task in tasks { await task.value }
                try result.get()
            }
        }
    }

    private func lines(_ texts: [String]) -> [LogLine] {
        texts.map { LogLine(at: Timestamp(milliseconds: 1000), stream: .stdout, text: $0) }
    }

    /// What the machine, or somebody with another key, says.
    private func say(
        _ contents: [LogContent], from: Int, by key: SecurityKey? = nil, _ machine: PaperMachine, _ site: Site
    ) async throws -> [Data] {
        var payloads: [Data] = []
        let group = try await site.groupKey
        for (index, content) in contents.enumerated() {
            let plaintext = try content.encoded()
            payloads.append(
                try LogMessage.encode(
                    group: "test", machine: machine.id, session: 1, sequence: from + index
                ) { header in
                    let sealed = try AuthenticSeal.log.seal(
                        plaintext, to: group, from: key ?? machine.key, authenticating: header)
                    return (sealed.encapsulated, sealed.ciphertext)
                })
        }
        for payload in payloads { await site.control.logRelay.receive(payload, of: machine.id) }
        return payloads
    }

    private func new(_ request: Int, _ text: String) -> [LogContent] {
        LogContent.messages(request: request, isTail: false, lines([text]))
    }

    @Test("Whoever follows a machine that goes is told that it is gone", .timeLimit(.minutes(2)))
    func gone() async throws {
        try await with(streamBeat: .milliseconds(50)) { site, machine in
            try await site.rest(.live) { ask in
                let port = try #require(ask.client.port)
                let told = try await withClient(server: "http://127.0.0.1:\(port)", token: site.token) { client in
                    let following = Task {
                        for try await _ in client.followLog(ofMachine: machine.id, tail: 0) {}
                    }
                    let group = try await site.groupKey
                    #expect(try await eventually { try await site.order(of: machine, from: group)?.watch != nil })
                    #expect(try await ask(.delete, "/v1/groups/test?force=true&forget=true").status == 204)
                    return await following.result
                }
                #expect(throws: ClientError.self) { try told.get() }
            }
        }
    }

    @Test(
        "A reader gets the last lines that the machine itself sealed for him, then what is new, and nothing that is forged or old"
    )
    func reading() async throws {
        try await with { site, machine in
            let group = try await site.groupKey
            let before = try #require(try await site.order(of: machine, from: group))
            #expect(before.watch == nil)
            let first = try await site.control.log(ofMachine: machine.id, tail: 2)
            var reader = first.makeAsyncIterator()
            let order = try #require(try await site.order(of: machine, from: group))
            let watch = try #require(order.watch)
            #expect(watch.tail == 2 && watch.lease == LogRelay.lease)
            // One word and one commit, and nothing is restarted for it.
            #expect(order.issue == before.issue.next && order.generation == before.generation)

            _ = try await say(new(watch.request, "too early"), from: 0, machine, site)
            let tail = LogContent.messages(request: watch.request, isTail: true, lines(["a", "b", "c"]))
            _ = try await say(
                LogContent.messages(request: watch.request, isTail: true, lines(["forged"])), from: 100,
                by: SecurityKey(), machine, site)
            let said = try await say(tail, from: 1, machine, site)
            for text in ["b", "c"] { #expect(await reader.next() == .line(lines([text])[0])) }
            #expect(await reader.next() == .isLive)
            let later = try await say(new(watch.request, "d"), from: 2, machine, site)
            #expect(await reader.next() == .line(lines(["d"])[0]))
            // What somebody has kept, and what goes back to a question of an earlier watch.
            for payload in said + later { await site.control.logRelay.receive(payload, of: machine.id) }
            _ = try await say(new(watch.request - 1, "of an earlier watch"), from: 3, machine, site)
            _ = try await say(new(watch.request, "e"), from: 4, machine, site)
            #expect(await reader.next() == .line(lines(["e"])[0]))

            // Another reader has the last lines, too, of which the first one sees nothing.
            let second = try await site.control.log(ofMachine: machine.id, tail: 1)
            var other = second.makeAsyncIterator()
            let again = try #require(try await site.order(of: machine, from: group)?.watch)
            #expect(again.request > watch.request && again.tail == 1)
            _ = try await say(new(watch.request, "f"), from: 5, machine, site)
            _ = try await say(
                LogContent.messages(request: again.request, isTail: true, lines(["e", "f"])), from: 6, machine, site)
            _ = try await say(new(again.request, "g"), from: 7, machine, site)
            for text in ["f", "g"] { #expect(await reader.next() == .line(lines([text])[0])) }
            #expect(await other.next() == .line(lines(["f"])[0]))
            #expect(await other.next() == .isLive)
            #expect(await other.next() == .line(lines(["g"])[0]))
        }
    }

    @Test("When the last reader has gone, the order says that nobody watches")
    func leaving() async throws {
        try await with { site, machine in
            let group = try await site.groupKey
            let readers = try await (0..<2).asyncMap { _ in
                let items = try await site.control.log(ofMachine: machine.id, tail: 0)
                return Task { for await _ in items {} }
            }
            let watched = try #require(try await site.order(of: machine, from: group))
            #expect(watched.watch != nil)
            readers[0].cancel()
            await readers[0].value
            readers[1].cancel()
            await readers[1].value
            #expect(try await eventually { try await site.order(of: machine, from: group)?.watch == nil })
            let order = try #require(try await site.order(of: machine, from: group))
            #expect(order.issue == watched.issue.next)
        }
    }
}

extension Range<Int> {
    fileprivate func asyncMap<Value>(_ body: (Int) async throws -> Value) async rethrows -> [Value] {
        var values: [Value] = []
        for index in self { values.append(try await body(index)) }
        return values
    }
}
