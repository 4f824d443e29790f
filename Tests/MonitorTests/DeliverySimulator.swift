import Fleet
import Monitor
import Testing
import TestSupport

/// A bundle's way to virtual receivers: a clock, a broker that takes parts, links that keep the order and lose some, receivers that report in batches.
struct DeliverySimulator {
    struct Receiver {
        var have = PartRanges()
        var latency = TimeSpan.milliseconds(5)
        /// Its link takes this long for one part.
        var perPart = TimeSpan.milliseconds(2)
        var loss = 0.0
        var linkFreeAt = start
        var reports = false
        var doneAt: Timestamp?
    }

    enum Happening {
        case taken(Int)
        case arrives(Int, at: String)
        case report(String)
        case act((inout DeliverySimulator) -> Void)
    }

    var delivery: Delivery
    let parts: Int
    let window: Int
    var now = start
    var receivers: [String: Receiver] = [:]
    var generator: SeededGenerator
    /// When each part was sent, in order.
    private(set) var sendings: [(part: Int, at: Timestamp)] = []
    private var queue: [(at: Timestamp, what: Happening)] = []

    init(parts: Int, window: Int = 8, bandwidth: Int? = nil, seed: UInt64 = 1) {
        delivery = Delivery(parts: parts, partSize: 262_144, window: window, bandwidth: bandwidth, at: start)
        self.parts = parts
        self.window = window
        generator = SeededGenerator(seed: seed)
    }

    mutating func later(_ span: TimeSpan, _ what: Happening) {
        let at = now + span
        let place = queue.firstIndex { $0.at > at } ?? queue.count
        queue.insert((at, what), at: place)
    }

    mutating func join(_ name: String, _ receiver: Receiver) {
        receivers[name] = receiver
        report(name)
    }

    mutating func leave(_ name: String) {
        receivers[name] = nil
        publish(delivery.left(name, at: now))
    }

    /// Until everybody has everything, or `limit`.
    mutating func run(for limit: TimeSpan) {
        let end = now + limit
        while true {
            let due = delivery.nextDeadline
            guard let at = [queue.first?.at, due].compactMap(\.self).min(), at <= end else { break }
            now = max(now, at)
            guard let first = queue.first, first.at <= now else {
                publish(delivery.due(at: now))
                if let next = delivery.nextDeadline, next <= now {
                    Issue.record("a deadline of the delivery is set again for the same instant")
                    return
                }
                continue
            }
            queue.removeFirst()
            take(first.what)
        }
        now = end
    }

    private mutating func take(_ what: Happening) {
        switch what {
        case .taken(let part): publish(delivery.sent(part: part, at: now))
        case .arrives(let part, let name):
            guard receivers[name] != nil else { return }
            receivers[name]?.have.insert(part)
            let complete = receivers[name]?.have.firstMissing(below: parts) == nil
            if complete { return report(name) }
            guard receivers[name]?.reports == false else { return }
            receivers[name]?.reports = true
            later(.milliseconds(100), .report(name))
        case .report(let name): report(name)
        case .act(let body): body(&self)
        }
    }

    private mutating func report(_ name: String) {
        guard let receiver = receivers[name] else { return }
        receivers[name]?.reports = false
        if receiver.have.firstMissing(below: parts) == nil, receiver.doneAt == nil { receivers[name]?.doneAt = now }
        publish(delivery.wants(name, have: receiver.have, at: now))
    }

    private mutating func publish(_ steps: [Delivery.Step]) {
        for case .publish(let part) in steps {
            sendings.append((part, now))
            later(.milliseconds(1), .taken(part))
            for name in receivers.keys.sorted() {
                guard var receiver = receivers[name] else { continue }
                // The link is busy with what was lost on it, too.
                receiver.linkFreeAt = max(receiver.linkFreeAt, now) + receiver.perPart
                let arrival = receiver.linkFreeAt + receiver.latency
                receivers[name] = receiver
                if Double.random(in: 0..<1, using: &generator) >= receiver.loss {
                    later(arrival - now, .arrives(part, at: name))
                }
            }
        }
    }
}

@Suite("Delivery over virtual time")
struct DeliverySimulationTests {
    @Test("One clean receiver gets each part once")
    func clean() {
        var site = DeliverySimulator(parts: 200)
        site.join("a", .init())
        site.run(for: .minutes(1))
        #expect(site.receivers["a"]?.doneAt != nil)
        #expect(site.sendings.map(\.part) == Array(0..<200))
    }

    @Test(
        "A slow receiver that goes on taking parts holds nobody up for long, and is served to the end",
        arguments: [300, 1000, 1900], [false, true])
    func trickle(_ perPart: Int64, slowFirst: Bool) throws {
        var site = DeliverySimulator(parts: 400)
        let slow = DeliverySimulator.Receiver(perPart: .milliseconds(perPart))
        if slowFirst { site.join("slow", slow) }
        site.join("fast", .init())
        if !slowFirst { site.join("slow", slow) }
        site.run(for: .hours(1))
        let fast = try #require(site.receivers["fast"]?.doneAt)
        #expect(fast - start < .milliseconds(perPart) * 100, "at the slow one's pace it takes 400 times that")
        #expect(site.receivers["slow"]?.doneAt != nil)
        #expect(site.sendings.count <= 1000)
    }

    @Test("The bandwidth is kept to over time", arguments: [100_000, 1_000_000, 20_000_000, 100_000_000, 300_000_000])
    func bandwidth(_ rate: Int) throws {
        var site = DeliverySimulator(parts: 400, window: 400, bandwidth: rate)
        site.join("a", .init(latency: .zero, perPart: .zero))
        site.run(for: .hours(2))
        #expect(site.receivers["a"]?.doneAt != nil)
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

    @Test("Whoever stays gets everything, over links that lose parts, and not much is sent twice", arguments: 0..<40)
    func property(_ seed: UInt64) {
        var chooser = SeededGenerator(seed: seed &+ 7000)
        let parts = Int.random(in: 1...300, using: &chooser)
        var site = DeliverySimulator(parts: parts, window: Int.random(in: 1...40, using: &chooser), seed: seed)
        var joins = 0
        var losses = 0.0
        for number in 0..<Int.random(in: 1...8, using: &chooser) {
            let name = "m\(number)"
            let receiver = DeliverySimulator.Receiver(
                latency: .milliseconds(.random(in: 1...300, using: &chooser)),
                perPart: .milliseconds(.random(in: 0...20, using: &chooser)),
                loss: Bool.random(using: &chooser) ? 0 : .random(in: 0...0.3, using: &chooser))
            joins += 1
            losses += receiver.loss
            let arrival = TimeSpan.milliseconds(.random(in: 0...5000, using: &chooser))
            site.later(arrival, .act { $0.join(name, receiver) })
            switch Int.random(in: 0..<5, using: &chooser) {
            case 0: site.later(arrival + .seconds(1), .act { $0.leave(name) })
            case 1:
                // Its disk was exchanged.
                joins += 1
                site.later(
                    arrival + .seconds(2),
                    .act { site in
                        guard site.receivers[name] != nil else { return }
                        site.receivers[name]?.have = PartRanges()
                        site.receivers[name]?.doneAt = nil
                        site.later(.zero, .report(name))
                    })
            default: break
            }
        }
        site.run(for: .hours(1))
        for (name, receiver) in site.receivers { #expect(receiver.doneAt != nil, "\(name) of seed \(seed)") }
        #expect(site.delivery.isIdle)
        // Each may need all of it on its own, and what its link loses again; a loss is noticed window by window.
        let most = Double(parts * joins) * 3 + losses * Double(parts) * 4 + Double(site.window * joins * 10)
        #expect(Double(site.sendings.count) <= most)
    }
}
