import Fleet
import Monitor
import Testing
import TestSupport

@Suite("Delivery over virtual time")
struct DeliverySimulationTests {
    @Test("One clean receiver gets each part once")
    func clean() throws {
        var site = DeliverySimulator(parts: 200)
        site.join("a", .init())
        site.run(for: .minutes(1))
        let doneAt = try #require(site.machines["a"]?.doneAt)
        #expect(doneAt - start < .seconds(1), "its link takes 400 ms: no window waits for a late report")
        #expect(site.sendings.map(\.part) == Array(0..<200))
        let reports = site.machines["a"]?.reports ?? 0
        #expect((25...30).contains(reports), "it says that it wants them, and then reports every eighth")
    }

    @Test(
        "Twenty who come within a tenth of a second share one stream: what some missed of it is sent once more, at its end"
    )
    func together() throws {
        var site = DeliverySimulator(parts: 200, window: Delivery.standardWindow)
        for index in 0..<20 {
            site.later(.milliseconds(Int64(index) * 5), .act { $0.join("m\(index)", .init(perPart: .milliseconds(5))) })
        }
        site.run(for: .minutes(1))
        #expect(site.machines.count == 20 && site.machines.values.allSatisfy { $0.doneAt != nil })
        let counts = Dictionary(grouping: site.sendings, by: \.part).mapValues(\.count)
        #expect(counts.values.allSatisfy { $0 <= 2 }, "\(counts.filter { $0.value > 2 })")
        let again = counts.filter { $0.value == 2 }.keys
        #expect(again.allSatisfy { $0 < 40 }, "\(again.sorted())")
        // Nobody's parts that were not sent yet wait for what others missed.
        let first = site.sendings.prefix(200).map(\.part)
        #expect(first == Array(0..<200))
    }

    @Test("However slowly a crowd takes it, no part is sent again and again: little is under way to each of many")
    func slowTogether() throws {
        var site = DeliverySimulator(parts: 100, window: Delivery.standardWindow)
        for index in 0..<20 {
            site.later(
                .milliseconds(Int64(index) * 5), .act { $0.join("m\(index)", .init(perPart: .milliseconds(120))) })
        }
        site.run(for: .minutes(5))
        #expect(site.machines.count == 20 && site.machines.values.allSatisfy { $0.doneAt != nil })
        #expect(site.sendings.count <= 130, "\(site.sendings.count)")
    }

    @Test("What is sent again for one is not taken for lost by those to whom the first sending is on its way")
    func sentAgain() throws {
        var delivery = Delivery(parts: 6, partSize: 262_144, bandwidth: nil, at: start)
        #expect(delivery.wants("a", have: PartRanges(), at: start).count == 6)
        for part in 0..<6 { _ = delivery.sent(part: part, at: start) }
        // Another has all but the first, and gets it anew.
        let now = start + .seconds(1)
        #expect(delivery.wants("b", have: try #require(PartRanges("1-5")), at: now) == [.publish(0)])
        _ = delivery.sent(part: 0, at: now)
        // It was the first sending that reached this one: what followed that is still on its slow link.
        #expect(delivery.wants("a", have: PartRanges(upTo: 1), at: now).isEmpty)
        #expect(delivery.wants("a", have: try #require(PartRanges("0,2")), at: now) == [.publish(1)])
    }

    @Test(
        "A slow receiver that goes on taking parts holds nobody up for long, and is served to the end",
        arguments: [300, 1000, 1900], [false, true])
    func trickle(_ perPart: Int64, slowFirst: Bool) throws {
        var site = DeliverySimulator(parts: 400)
        let slow = DeliverySimulator.Machine(perPart: .milliseconds(perPart))
        if slowFirst { site.join("slow", slow) }
        site.join("fast", .init())
        if !slowFirst { site.join("slow", slow) }
        site.run(for: .hours(1))
        let fast = try #require(site.machines["fast"]?.doneAt)
        #expect(fast - start < .milliseconds(perPart) * 100, "at the slow one's pace it takes 400 times that")
        #expect(site.machines["slow"]?.doneAt != nil)
        #expect(site.sendings.count <= 1000)
    }

    @Test("The bandwidth is kept to over time", arguments: [100_000, 1_000_000, 20_000_000, 100_000_000, 300_000_000])
    func bandwidth(_ rate: Int) throws {
        var site = DeliverySimulator(parts: 400, window: 400, bandwidth: rate)
        site.join("a", .init(latency: .zero, perPart: .zero))
        site.run(for: .hours(2))
        #expect(site.machines["a"]?.doneAt != nil)
        // In every stretch: no more than its length allows, the 100 ms that may be made up for, and one part.
        for first in stride(from: 0, to: site.sendings.count, by: 37) {
            for last in stride(from: first, to: site.sendings.count, by: 23) {
                let span = Double((site.sendings[last].at - site.sendings[first].at).milliseconds + 100) / 1000
                let bytes = Double(last - first) * 262_144
                #expect(bytes <= span * Double(rate) + 262_144)
            }
        }
        let whole = Double((try #require(site.sendings.last).at - start).milliseconds) / 1000
        #expect(whole <= 1.05 * 400 * 262_144 / Double(rate) + 1, "and it is used")
    }

    @Test(
        "Hundreds who come one after the other over seconds are all served soon, and no part is sent for each of them")
    func stream() {
        var site = DeliverySimulator(parts: 2)
        for index in 0..<400 {
            site.later(.milliseconds(Int64(index) * 10), .act { $0.join("m\(index)", .init()) })
        }
        site.run(for: .seconds(10))
        #expect(site.machines.count == 400)
        #expect(site.machines.values.allSatisfy { $0.doneAt != nil })
        for part in 0..<2 {
            let sendings = site.sendings.count { $0.part == part }
            #expect(sendings <= 10, "\(sendings)")
        }
    }

    @Test("Two thousand who come over five seconds are all served, and each part is sent three times for all of them")
    func crowd() {
        var site = DeliverySimulator(parts: 4, window: Delivery.standardWindow)
        for index in 0..<2000 {
            site.later(.milliseconds(Int64(index) * 5 / 2), .act { $0.join("m\(index)", .init()) })
        }
        site.run(for: .minutes(1))
        #expect(site.machines.count == 2000 && site.machines.values.allSatisfy { $0.doneAt != nil })
        let counts = Dictionary(grouping: site.sendings, by: \.part).mapValues(\.count)
        #expect(counts.count == 4 && counts.values.allSatisfy { $0 <= 3 }, "\(counts.values.sorted())")
    }

    @Test("A part that came damaged is sent again until it is whole")
    func damaged() {
        var site = DeliverySimulator(parts: 50, seed: 3)
        site.join("a", .init(damage: 0.3))
        site.run(for: .minutes(10))
        #expect(site.machines["a"]?.doneAt != nil)
        #expect(site.sendings.count > 50, "some came damaged")
        #expect(site.delivery.isIdle)
    }

    @Test("Whoever stays gets everything, over links that lose parts, and not much is sent twice", arguments: 0..<40)
    func property(_ seed: UInt64) {
        var chooser = SeededGenerator(seed: seed &+ 7000)
        let parts = Int.random(in: 1...300, using: &chooser)
        var site = DeliverySimulator(parts: parts, window: Int.random(in: 1...40, using: &chooser), seed: seed)
        var joins = 0
        var losses = 0.0
        var staying: Set<String> = []
        for number in 0..<Int.random(in: 1...8, using: &chooser) {
            let name = "m\(number)"
            let machine = DeliverySimulator.Machine(
                latency: .milliseconds(.random(in: 1...300, using: &chooser)),
                perPart: .milliseconds(.random(in: 0...20, using: &chooser)),
                loss: Bool.random(using: &chooser) ? 0 : .random(in: 0...0.3, using: &chooser),
                damage: Bool.random(using: &chooser) ? 0 : .random(in: 0...0.1, using: &chooser))
            joins += 1
            losses += machine.loss + machine.damage
            let arrival = TimeSpan.milliseconds(.random(in: 0...5000, using: &chooser))
            site.later(arrival, .act { $0.join(name, machine) })
            // The first one stays, so that there is somebody to be served.
            switch Int.random(in: number == 0 ? 1..<5 : 0..<5, using: &chooser) {
            case 0: site.later(arrival + .seconds(1), .act { $0.leave(name) })
            case 1:
                joins += 1
                staying.insert(name)
                site.later(arrival + .seconds(2), .act { $0.lose(name) })
            default: staying.insert(name)
            }
        }
        site.run(for: .hours(1))
        #expect(Set(site.machines.keys) == staying)
        for (name, machine) in site.machines { #expect(machine.doneAt != nil, "\(name) of seed \(seed)") }
        #expect(site.delivery.isIdle)
        // Each may need all of it on its own, and what its link loses again; a loss is noticed window by window.
        let most = Double(parts * joins) * 3 + losses * Double(parts) * 4 + Double(site.window * joins * 10)
        #expect(Double(site.sendings.count) <= most)
    }
}
