import Fleet
import Foundation
import Hummingbird
import HummingbirdTesting
import Records
import Simulator
import TestSupport
import Testing

@testable import Client
@testable import Manager

@Suite("Lists that are narrowed where they are kept")
struct FilterTests {
    private func page<Item: Decodable>(_ ask: Asker, _ path: String, of: Item.Type) async throws -> Page<Item> {
        let reply = try await ask(.get, path)
        #expect(reply.status == 200, "\(path): \(reply.body)")
        return try JSONDecoder().decode(Page<Item>.self, from: Data(reply.body.utf8))
    }

    private func machines(_ ask: Asker, _ query: String) async throws -> [String] {
        var (all, after): ([String], String?) = ([], nil)
        repeat {
            let page = try await page(
                ask, "/v1/machines?limit=2&\(query)" + (after.map { "&after=\($0)" } ?? ""), of: MachineView.self)
            #expect(page.items.count <= 2)
            all += page.items.map(\.id)
            after = page.next
        } while after != nil
        return all
    }

    @Test("Machines by state, label and text, page by page, and of a narrow token's groups only")
    func machines() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                for (group, place) in [("edge", "den"), ("core", "lab")] {
                    let record = Site.record(group, count: 3, platform: "none").replacing(
                        "platform = none", with: "platform = none  labels = { site = \"\(place)\"  tier = \"1\" }")
                    #expect(try await ask(.post, "/v1/groups", record).status == 201)
                    _ = try await ask(.post, "/v1/groups/\(group)/start")
                    let ticket = try await site.control.invite(
                        to: group, InvitationRequest(uses: 3, ttl: .hours(1)), by: Site.user)
                    for (index, state) in [MachineState.running, .failed, .running].enumerated() {
                        var machine = PaperMachine("\(group)-xaaaaaa\(index)", ticket: ticket)
                        try await site.say(machine.registration(host: "host\(index)"), on: machine.registerTopic)
                        try await site.say(machine.status(sequence: 1, state: state), on: machine.statusTopic)
                    }
                }
                let (edge, core) = ((0..<3).map { "edge-xaaaaaa\($0)" }, (0..<3).map { "core-xaaaaaa\($0)" })
                #expect(try await machines(ask, "") == core + edge)
                #expect(try await machines(ask, "state=failed") == [core[1], edge[1]])
                #expect(try await machines(ask, "state=running,failed&group=edge") == edge)
                #expect(try await machines(ask, "state=away").isEmpty)
                #expect(try await machines(ask, "label=site%3Dden") == edge)
                #expect(try await machines(ask, "label=site%3Dden&label=tier%3D1&state=running") == [edge[0], edge[2]])
                #expect(try await machines(ask, "label=site%3Dden&label=tier%3D2").isEmpty)
                #expect(try await machines(ask, "q=HOST2") == [core[2], edge[2]])
                #expect(try await machines(ask, "q=edge-") == edge)
                let narrow = ask.with(try await site.token(.viewer, of: "core"))
                #expect(try await machines(narrow, "state=failed") == [core[1]])
                #expect(try await machines(narrow, "label=site%3Dden").isEmpty)
                for query in ["state=fialed", "state=", "label=den", "label=%3Dx", "q="] {
                    #expect(try await ask(.get, "/v1/machines?\(query)").status == 400, "\(query)")
                }
                #expect(try await ask(.get, "/v1/machines?state=fialed").problem().detail.contains("failed"))
            }
        }
    }

    private static func event(_ kind: EventEntry.Kind, _ group: String, _ machine: String? = nil) -> Records.Change {
        .event(EventEntry(at: .wall, group: group, machine: machine, kind: kind, actor: "test", message: "x"))
    }

    @Test("Events of some kinds, however rare among others, in pages and as a stream; the last so many")
    func events() async throws {
        try await Site.with { site in
            // More than one look goes through.
            let many = (0..<12_000).map { Self.event(.machineState, $0 % 2 == 0 ? "edge" : "core", "m-1") }
            let rare = [EventEntry.Kind.ruleActed, .ruleLimited, .ruleActed].map { Self.event($0, "edge") }
            let first = try #require(site.control.records.commit([Self.event(.groupCreated, "edge")]).last).id
            let events = try site.control.records.commit(many + rare + [Self.event(.ruleActed, "core")])
            let newest = try #require(events.last).id
            site.control.queries.signal.announce(newest)
            try await site.rest { ask in
                func ids(_ ask: Asker, _ query: String) async throws -> [Int64] {
                    var (all, after): ([Int64], String?) = ([], nil)
                    repeat {
                        let page = try await page(
                            ask, "/v1/events?limit=2&\(query)" + (after.map { "&after=\($0)" } ?? ""),
                            of: EventEntry.self)
                        all += page.items.map(\.id)
                        after = page.next
                    } while after != nil
                    return all
                }
                #expect(try await ids(ask, "kind=rule.*") == [newest - 3, newest - 2, newest - 1, newest])
                #expect(try await ids(ask, "kind=rule.limited,rule.acted&group=core") == [newest])
                #expect(try await ids(ask, "kind=rule.limited") == [newest - 2])
                #expect(try await ids(ask, "kind=software.*").isEmpty)
                let narrow = ask.with(try await site.token(.viewer, of: "co*"))
                #expect(try await ids(narrow, "kind=rule.acted") == [newest])
                // Tokens that were made stand in the history, too.
                let last = try await page(ask, "/v1/events?last=3&group=edge", of: EventEntry.self)
                #expect(last.items.map(\.id) == [newest - 3, newest - 2, newest - 1] && last.next == nil)
                let ofMachine = try await page(ask, "/v1/events?last=2&machine=m-1", of: EventEntry.self).items
                #expect(ofMachine.map(\.id) == [newest - 5, newest - 4])
                let few = try await page(ask, "/v1/events?last=9&group=edge&after=\(newest - 3)", of: EventEntry.self)
                #expect(few.items.map(\.id) == [newest - 2, newest - 1])
                let narrowed = try await page(narrow, "/v1/events?last=2", of: EventEntry.self).items
                #expect(narrowed.map(\.id) == [newest - 4, newest])
                let rare = try await page(ask, "/v1/events?last=2&kind=rule.acted", of: EventEntry.self).items
                #expect(rare.map(\.id) == [newest - 1, newest])
                // Further back than one look goes.
                let far = "/v1/events?last=3&kind=group.created,rule.limited"
                #expect(try await page(ask, far, of: EventEntry.self).items.map(\.id) == [first, newest - 2])
                let since = try await page(ask, far + "&after=\(first)", of: EventEntry.self).items
                #expect(since.map(\.id) == [newest - 2])
                #expect(try await page(narrow, far, of: EventEntry.self).items.isEmpty)
                for query in ["kind=rule.acetd", "kind=", "last=0", "last=1001"] {
                    #expect(try await ask(.get, "/v1/events?\(query)").status == 400, "\(query)")
                }
                let problem = try await ask(.get, "/v1/events?kind=rule.acetd").problem()
                #expect(problem.detail.contains("rule.acted"))
            }
            var stream = site.control.queries.eventStream(
                EventFilter(kinds: [.ruleLimited, .groupPaused]), after: 0
            ).makeAsyncIterator()
            #expect(try await stream.next()?.id == newest - 2)
            let later = try site.control.records.commit([
                Self.event(.ruleActed, "edge"), Self.event(.groupPaused, "edge"),
            ])
            site.control.queries.signal.announce(try #require(later.last).id)
            #expect(try await stream.next()?.kind == .groupPaused)
        }
    }

    @Test("What a manager from before knows no filter for, and has no live view of, is not taken for an answer")
    func older() async throws {
        let router = Router()
        router.get("v1/groups/edge") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "application/json"],
                body: .init(byteBuffer: .init(string: Self.group)))
        }
        let application = Application(router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)))
        try await application.test(.live) { asker in
            let server = "http://127.0.0.1:\(try #require(asker.port))"
            try await withClient(server: server, token: "x") { client in
                for group in [nil, "edge"] as [String?] {
                    let error = await #expect(throws: ClientError.self) {
                        for try await _ in client.watch(group: group, hasMetrics: false) {}
                    }
                    #expect(error?.description.contains("older than this trunkline") == true, "\(error as Any)")
                }
            }
        }
    }

    private static let group = """
        {"name":"edge","revision":1,"state":"running","service":"voice","software":"a@1","digest":"d","text":"",
        "status":{"phase":"converged","desired":1,"present":1,"verified":1,"failed":0,"away":0},
        "changed":"2026-11-30T08:00:00.000Z","by":"admin"}
        """
}
