import Certificates
import Fleet
import Foundation
import HTTPTypes
import HummingbirdTesting
import Messaging
import Monitor
import OperatingSystem
import Simulator
import Records
import Synchronization
import TestSupport
import Testing

@testable import Manager

@Suite("Bursts and what is in them")
struct BurstTests {
    @Test("A burst takes so much and no more, and one commit does for all of it")
    func size() async throws {
        let commits = Mutex(0)
        try await Site.with(write: { records, changes in
            commits.withLock { $0 += 1 }
            return try records.commit(changes)
        }) { (site) async throws in
            for index in 0..<1200 {
                site.control.mailbox.put(
                    .refused(
                        RefusedMessage(kind: .statusRefused, group: "g", machine: "m\(index)", reason: "a wrong MAC")))
            }
            var bursts = 0
            while await site.control.handleBurst() { bursts += 1 }
            #expect(bursts >= 3 && commits.withLock { $0 } == bursts)
            let first = commits.withLock { $0 }
            #expect(try await site.control.events(EventFilter(), after: 0, limit: 2000).items.count == 1200)
            await site.control.drain()
            #expect(commits.withLock { $0 } == first, "where nothing waits nothing is committed")
        }
    }

    @Test("Registrations of one burst see each other: a ticket for two admits two, and one commit does for them")
    func tickets() async throws {
        try await Site.with { (site) async throws in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record(count: 5, platform: "none"))
                _ = try await ask(.post, "/v1/groups/test/start")
                let ticket = try await site.control.invite(
                    to: "test", InvitationRequest(uses: 2, ttl: .hours(1)), by: Site.user)
                var machines = (0..<4).map { PaperMachine("test-xaaaaaa\($0)", ticket: ticket) }
                var twin = PaperMachine("test-xaaaaaa0", ticket: ticket)
                for index in machines.indices {
                    let payload = try machines[index].registration()
                    // Each of them twice, as agents do.
                    for _ in 0..<2 {
                        site.intake.receive(Message(topic: machines[index].registerTopic, payload: payload))
                    }
                }
                site.intake.receive(Message(topic: twin.registerTopic, payload: try twin.registration()))
                await site.intake.settle()
                let before = await site.metrics.value("commits_total")
                #expect(await site.control.handleBurst())
                #expect(await site.metrics.value("commits_total") == before + 1)
                await site.control.drain()
                let joined = await site.control.monitor.machines(of: "test").map(\.id)
                #expect(joined.count == 2)
                #expect(try site.control.records.ticket(ticket.ticket)?.used == 2)
                #expect(try Set(site.control.records.machines(usingTicket: ticket.ticket)) == Set(joined))
                let events = try await site.control.events(EventFilter(), after: 0, limit: 1000).items
                #expect(events.filter { $0.kind == .registrationRefused }.count >= 2)
            }
        }
    }

    @Test(
        "A registration that is said again while the first is in hand costs nothing and uses up nothing of its ticket's"
    )
    func repetitions() async throws {
        try await Site.with { (site) async throws in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record(count: 5, platform: "none"))
                _ = try await ask(.post, "/v1/groups/test/start")
                let ticket = try await site.control.invite(
                    to: "test", InvitationRequest(uses: 2, ttl: .hours(1)), by: Site.user)
                var (loud, quiet) = (
                    PaperMachine("test-xaaaaaaa", ticket: ticket), PaperMachine("test-xbbbbbbb", ticket: ticket)
                )
                let payload = try loud.registration()
                // More than one ticket may have opened at once.
                for _ in 0..<(Budgets.leastOfTicket + 500) {
                    site.intake.receive(Message(topic: loud.registerTopic, payload: payload))
                }
                await site.intake.settle()
                #expect(site.control.mailbox.count == 1)
                let repeated = "registrations_repeated_total"
                #expect(await site.metrics.value(repeated) == Int(Budgets.leastOfTicket) + 499)
                try await site.say(quiet.registration(), on: quiet.registerTopic)
                #expect(await site.control.monitor.machines(of: "test").map(\.id) == [loud.id, quiet.id])
                #expect(await site.metrics.value("registrations_dropped_total") == 0)
                // Its order is on its way.
                let publications = site.control.lanes.publications
                #expect(publications.isBusy(with: loud.id))
                let before = await site.metrics.value(repeated)
                try await site.say(payload, on: loud.registerTopic)
                #expect(await site.metrics.value(repeated) == before + 1)
                // It was sent and got lost: it is sent again.
                while let (machine, _) = publications.next() { publications.finish(machine) }
                try await site.say(payload, on: loud.registerTopic)
                #expect(await site.metrics.value(repeated) == before + 1)
                #expect(publications.isBusy(with: loud.id))
            }
        }
    }

    @Test(
        "A right ticket with a wrong certificate request undoes only itself: its ticket is not spent, and it stands in the history"
    )
    func wrongRequest() async throws {
        try await Site.with(secure: true) { (site) async throws in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record(count: 5, platform: "none"))
                _ = try await ask(.post, "/v1/groups/test/start")
                let ticket = try await site.control.invite(
                    to: "test", InvitationRequest(uses: 3, ttl: .hours(1)), by: Site.user)
                var before = PaperMachine("test-xaaaaaaa", ticket: ticket)
                var wrong = PaperMachine("test-xbbbbbbb", ticket: ticket)
                var after = PaperMachine("test-xccccccc", ticket: ticket)
                site.intake.receive(Message(topic: before.registerTopic, payload: try before.registration()))
                let bad = RegistrationContent.Request(request: Data("no request".utf8), reply: "boot-1")
                site.intake.receiveAtBoot(
                    Message(topic: wrong.registerTopic, payload: try wrong.registration(asking: bad)))
                site.intake.receive(Message(topic: after.registerTopic, payload: try after.registration()))
                await site.intake.settle()
                await site.control.drain()
                #expect(await site.control.monitor.machines(of: "test").map(\.id).sorted() == [before.id, after.id])
                #expect(site.control.statusKeys[wrong.id] == nil)
                #expect(try site.control.records.machineKey(wrong.id) == nil)
                #expect(try site.control.records.machines(usingTicket: ticket.ticket) == [before.id, after.id])
                let refused = try await site.control.events(EventFilter(machine: wrong.id), after: 0, limit: 10).items
                #expect(refused.map(\.kind) == [.registrationRefused])
                #expect(refused.first?.message.contains("certificate request") == true)
                // With a right one it is let in by the same ticket.
                try await site.say(wrong.registration(), on: wrong.registerTopic)
                #expect(await site.control.monitor.machine(wrong.id) != nil)
            }
        }
    }

    @Test(
        "A crowd of 2,000 registrations keeps neither people nor statuses waiting for its end, and makes nobody away",
        .timeLimit(.minutes(5)))
    func crowd() async throws {
        let count = 2000
        try await Site.with { (site) async throws in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                let record = Site.record("crowd", count: count, platform: "none")
                    .replacing("max = 9", with: "max = \(count)")
                let others = Site.record(count: 9, platform: "none")
                    .replacing("service  = voice", with: "service  = voice\n  heartbeat = 1s")
                for (group, text) in [("crowd", record), ("test", others)] {
                    #expect(try await ask(.post, "/v1/groups", text).status == 201)
                    #expect(try await ask(.post, "/v1/groups/\(group)/start").status == 202)
                }
                let (ticket, own) = (
                    try await site.control.invite(
                        to: "crowd", InvitationRequest(uses: count, ttl: .hours(1)), by: Site.user),
                    try await site.control.invite(
                        to: "test", InvitationRequest(uses: 9, ttl: .hours(1)), by: Site.user)
                )
                var steady = (0..<9).map { PaperMachine("test-xa00000\($0)", ticket: own) }
                for index in steady.indices {
                    try await site.say(steady[index].registration(), on: steady[index].registerTopic)
                }
                var crowd: [(topic: String, payload: Data)] = []
                for number in 0..<count {
                    var machine = PaperMachine("crowd-xb\(String(format: "%06d", number))", ticket: ticket)
                    crowd.append((machine.registerTopic, try machine.registration()))
                }
                var sequence = 0
                func beat() throws {
                    sequence += 1
                    for machine in steady {
                        site.intake.receive(
                            Message(topic: machine.statusTopic, payload: try machine.status(sequence: sequence)))
                    }
                }
                func joined() async -> Int { await site.control.monitor.machines(of: "crowd").count }
                func sayAgain() async {
                    let known = Set(await site.control.monitor.machines(of: "crowd").map(\.id))
                    for (topic, payload) in crowd where !known.contains(String(topic.split(separator: "/")[3])) {
                        site.intake.receive(Message(topic: topic, payload: payload))
                    }
                }
                await sayAgain()
                try beat()
                let running = Task { await site.control.run() }
                let first = sequence
                #expect(
                    try await eventually {
                        await site.control.monitor.machines(of: "test").allSatisfy {
                            $0.reported.status?.sequence == first
                        }
                    })
                #expect(await joined() < count, "statuses did not wait for the crowd")
                #expect(
                    try await ask(.put, "/v1/secrets/a", "{\"value\": \"x\"}", type: "application/json").status == 204)
                #expect(await joined() < count, "nor did people")
                // Above the budget they may be dropped, and say it again, as agents do; the others go on with theirs.
                #expect(
                    try await eventually(within: .seconds(200), every: .milliseconds(500)) {
                        try beat()
                        if site.control.mailbox.count == 0 { await sayAgain() }
                        return await joined() == count
                    })
                let indices = await site.control.monitor.machines(of: "crowd").map(\.index)
                #expect(indices == Array(0..<count), "each has a place of its own")
                let events = try site.control.records.events(
                    group: "test", machine: nil, matching: nil, after: 0, limit: 1000)
                #expect(!events.contains { $0.kind == .machineAway })
                #expect(await site.control.monitor.machines(of: "test").allSatisfy { $0.judged.awaySince == nil })
                site.control.mailbox.close()
                await running.value
            }
        }
    }

    @Test("Of a machine that says too much the newest status counts, whatever came between")
    func newest() async throws {
        try await Site.with { (site) async throws in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record(count: 5, platform: "none"))
                _ = try await ask(.post, "/v1/groups/test/start")
                let ticket = try await site.control.invite(
                    to: "test", InvitationRequest(uses: 3, ttl: .hours(1)), by: Site.user)
                var loud = PaperMachine("test-xaaaaaaa", ticket: ticket)
                var quiet = PaperMachine("test-xbbbbbbb", ticket: ticket)
                try await site.say(loud.registration(), on: loud.registerTopic)
                try await site.say(quiet.registration(), on: quiet.registerTopic)
                for sequence in 1...3000 {
                    site.intake.receive(Message(topic: loud.statusTopic, payload: try loud.status(sequence: sequence)))
                }
                try await site.say(quiet.status(sequence: 1), on: quiet.statusTopic)
                #expect(await site.control.monitor.machine(quiet.id)?.reported.status?.sequence == 1)
                #expect(
                    try await eventually {
                        await site.control.drain()
                        return await site.control.monitor.machine(loud.id)?.reported.status?.sequence == 3000
                    })
                let text = await site.metrics
                #expect(text.value("statuses_taken_total") < 500)
                #expect(text.value("statuses_passed_over_total") > 2000)
                #expect(text.value("statuses_merged_total") > 0)
                // None of them went anywhere else.
                let counted = ["taken", "passed_over", "merged", "dropped", "unknown"]
                #expect(
                    counted.map { text.value("statuses_\($0)_total") }.reduce(0, +)
                        == text.value("statuses_received_total"))
            }
        }
    }

    @Test(
        "A wrong MAC is refused before anything of the message is read, and is a line in the history for some of them only"
    )
    func macFirst() async throws {
        try await Site.with { (site) async throws in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record(count: 5, platform: "none"))
                _ = try await ask(.post, "/v1/groups/test/start")
                let ticket = try await site.control.invite(
                    to: "test", InvitationRequest(uses: 3, ttl: .hours(1)), by: Site.user)
                var one = PaperMachine("test-xaaaaaaa", ticket: ticket)
                try await site.say(one.registration(), on: one.registerTopic)
                let forged = Data("{\"not\":\"a status\",\"mac\":\"\(Data(count: 32).base64EncodedString())\"}".utf8)
                for _ in 0..<50 { try await site.say(forged, on: one.statusTopic) }
                let events = try await site.control.events(EventFilter(machine: one.id), after: 0, limit: 100).items
                    .filter { $0.kind == .statusRefused }
                #expect(events.count == 10)
                #expect(events.allSatisfy { $0.message.contains("wrong MAC") })
                #expect(await site.metrics.value("refused_total") == 50)
            }
        }
    }
}

extension Site {
    fileprivate var metrics: String { get async { await control.metricsText(within: nil) } }
}

extension String {
    /// Of a metric in Prometheus' text form; -1 where it is not there.
    fileprivate func value(_ name: String) -> Int {
        split(separator: "\n").first { $0.hasPrefix("trunkline_\(name) ") }
            .flatMap { Int($0.split(separator: " ")[1]) } ?? -1
    }
}
