import Fleet
import Monitor
import Testing

@Suite("Delivery")
struct DeliveryTests {
    static func parts(_ steps: [Delivery.Step]) -> [Int] {
        steps.map {
            switch $0 {
            case .publish(let part): part
            }
        }
    }

    static func have(_ text: String) -> PartRanges { PartRanges(text) ?? PartRanges() }

    static func delivery(parts: Int = 100, window: Int = 8, bandwidth: Int? = nil) -> Delivery {
        Delivery(parts: parts, partSize: 262_144, window: window, bandwidth: bandwidth, at: start)
    }

    /// The broker takes parts.
    static func take(_ delivery: inout Delivery, _ parts: [Int], at now: Timestamp = start) -> [Int] {
        parts.flatMap { Self.parts(delivery.sent(part: $0, at: now)) }
    }

    @Test("The lowest missing parts are sent first, a window of them")
    func lowestFirst() {
        var delivery = Self.delivery()
        #expect(Self.parts(delivery.wants("a", have: Self.have("0-2,5"), at: start)) == [3, 4, 6, 7, 8, 9, 10, 11])
        #expect(Self.take(&delivery, [3, 4, 6]).isEmpty)
    }

    @Test("As many follow as the slowest receiver that keeps up has taken")
    func window() {
        var delivery = Self.delivery(parts: 18)
        let first = Self.parts(delivery.wants("a", have: PartRanges(), at: start))
        #expect(Self.take(&delivery, first).isEmpty)
        #expect(delivery.wants("b", have: PartRanges(), at: start).isEmpty)
        // Of what was sent before it came nobody knows whether it reached it; what follows comes first.
        let second = Self.parts(delivery.wants("a", have: Self.have("0-7"), at: start))
        #expect(second == Array(8..<16))
        #expect(Self.take(&delivery, second).isEmpty)
        #expect(delivery.wants("b", have: Self.have("8-9"), at: start).isEmpty)
        #expect(Self.parts(delivery.wants("a", have: Self.have("0-15"), at: start)) == [16, 17])
        _ = Self.take(&delivery, [16, 17])
        let now = start + Delivery.gathering
        #expect(Self.parts(delivery.wants("b", have: Self.have("8-17"), at: now)) == first)
    }

    @Test("A lost part is sent again as soon as a later one is reported")
    func lost() {
        var delivery = Self.delivery()
        let first = Self.parts(delivery.wants("a", have: PartRanges(), at: start))
        _ = Self.take(&delivery, first)
        #expect(Self.parts(delivery.wants("a", have: Self.have("0-2,4"), at: start)).prefix(2) == [3, 8])
    }

    @Test("What was sent last and did not come is sent again after a pause, and each pause without success is longer")
    func tail() throws {
        var delivery = Self.delivery(parts: 3)
        var now = start
        _ = Self.take(&delivery, Self.parts(delivery.wants("a", have: PartRanges(), at: now)))
        _ = delivery.wants("a", have: Self.have("0-1"), at: now)
        var pauses: [Int64] = []
        for _ in 0..<6 {
            var again: [Int] = []
            let stalled = now
            while again.isEmpty {
                now = try #require(delivery.nextDeadline)
                again = Self.parts(delivery.due(at: now))
            }
            #expect(again == [2])
            _ = Self.take(&delivery, again, at: now)
            pauses.append((now - stalled).milliseconds / 1000)
        }
        #expect(pauses == [2, 4, 8, 16, 30, 30])
        #expect(delivery.wants("a", have: Self.have("0-2"), at: now).isEmpty)
        #expect(delivery.isIdle)
        #expect(delivery.nextDeadline == nil)
    }

    @Test("A receiver that takes nothing leaves the pacing set after the pause; the others go on")
    func stopped() throws {
        var delivery = Self.delivery()
        let first = Self.parts(delivery.wants("a", have: PartRanges(), at: start))
        _ = Self.take(&delivery, first)
        _ = delivery.wants("stopped", have: PartRanges(), at: start)
        let now = start + .seconds(1)
        // What was not sent yet goes before what it missed.
        let second = Self.parts(delivery.wants("a", have: Self.have("0-7"), at: now))
        #expect(second == Array(8..<16))
        #expect(Self.take(&delivery, second, at: now).isEmpty)
        #expect(delivery.wants("a", have: Self.have("0-15"), at: now).isEmpty)
        let due = try #require(delivery.nextDeadline)
        #expect(due == start + Delivery.patience)
        #expect(Self.parts(delivery.due(at: due)) == Array(16..<24))
    }

    @Test("A late joiner gets what it lacks; the others' parts are not sent again")
    func lateJoiner() {
        var delivery = Self.delivery(parts: 10, window: 10)
        _ = Self.take(&delivery, Self.parts(delivery.wants("a", have: PartRanges(), at: start)))
        _ = delivery.wants("a", have: Self.have("0-8"), at: start)
        // Others may come who lack them, too.
        #expect(delivery.wants("late", have: Self.have("3-9"), at: start).isEmpty)
        #expect(delivery.wants("later", have: Self.have("2-9"), at: start).isEmpty)
        let due = start + Delivery.gathering
        #expect(delivery.nextDeadline == due)
        #expect(Self.parts(delivery.due(at: due)) == [0, 1, 2])
        #expect(delivery.wants("a", have: Self.have("0-9"), at: due).isEmpty)
    }

    @Test(
        "While newcomers keep coming a part is sent again less and less often; when no more come it is not waited for")
    func newcomers() throws {
        var delivery = Self.delivery(parts: 1)
        var (sent, came, present) = ([Int64](), 0, [String]())
        var now = start
        func leave() {
            for machine in present { _ = delivery.left(machine, at: now) }
            present = []
        }
        // Ten seconds of them, one each 80 ms; each has its part as soon as it is sent.
        while now <= start + .seconds(10) {
            let machine = "m\(came)"
            came += 1
            present.append(machine)
            var parts = Self.parts(delivery.wants(machine, have: PartRanges(), at: now))
            if let due = delivery.nextDeadline, due <= now { parts += Self.parts(delivery.due(at: now)) }
            if !parts.isEmpty {
                sent.append((now - start).milliseconds)
                _ = Self.take(&delivery, parts, at: now)
                leave()
            }
            now = now + .milliseconds(80)
        }
        #expect(sent.count <= 5 && sent.first == 0)
        #expect(zip(sent.dropFirst(), sent.dropFirst(2)).allSatisfy { $1 - $0 >= 800 })
        let last = now - .milliseconds(80)
        var parts: [Int] = []
        while parts.isEmpty {
            now = try #require(delivery.nextDeadline)
            parts = Self.parts(delivery.due(at: now))
        }
        let quiet = last + .milliseconds(Delivery.longestGathering.milliseconds / 4)
        let longest = start + .milliseconds(sent.last ?? 0) + Delivery.longestGathering
        #expect(parts == [0] && now == min(quiet, longest))
        _ = Self.take(&delivery, [0], at: now)
        leave()
        #expect(Self.parts(delivery.wants("much later", have: PartRanges(), at: now + .seconds(6))) == [0])
    }

    @Test(
        "A crowd that keeps coming gets a part when none came for a moment, and after 15 s at the latest",
        arguments: [8, 20])
    func gatheredCrowd(seconds: Int64) throws {
        var delivery = Self.delivery(parts: 1)
        var (now, came, waiting) = (start, 0, [String]())
        var sent: [TimeSpan] = []
        while now <= start + .seconds(seconds + 1) {
            var parts: [Int] = []
            if now < start + .seconds(seconds) {
                waiting.append("m\(came)")
                parts += Self.parts(delivery.wants("m\(came)", have: PartRanges(), at: now))
                came += 1
            }
            while let due = delivery.nextDeadline, due <= now { parts += Self.parts(delivery.due(at: now)) }
            // Whoever waited has it at once.
            if !parts.isEmpty {
                sent.append(now - start)
                _ = Self.take(&delivery, parts, at: now)
                for machine in waiting { _ = delivery.wants(machine, have: Self.have("0"), at: now) }
                waiting = []
            }
            now = now + .milliseconds(5)
        }
        #expect(waiting.isEmpty && delivery.isIdle)
        #expect(sent.count == (seconds < 15 ? 3 : 5), "\(sent)")
        let wait = try #require(sent.last).milliseconds - 1000 * seconds
        #expect(wait <= Delivery.crowdGathering(came).milliseconds + 10)
    }

    @Test("Who comes while most are awaited waits for them, 15 s at most", arguments: [true, false])
    func awaited(come: Bool) throws {
        var delivery = Self.delivery(parts: 1)
        delivery.expect(1000)
        _ = Self.take(&delivery, Self.parts(delivery.wants("first", have: PartRanges(), at: start)), at: start)
        _ = delivery.wants("first", have: Self.have("0"), at: start)
        let now = start + .seconds(1)
        #expect(delivery.wants("second", have: PartRanges(), at: now).isEmpty)
        #expect(Self.parts(delivery.due(at: now + .seconds(9))).isEmpty)
        if come { delivery.expect(0) }
        let due = come ? now + .seconds(9) : start + Delivery.longestCrowdGathering
        #expect(Self.parts(delivery.due(at: due)) == [0])
    }

    @Test("What takes the broker long for a crowd is not sent to it again and again meanwhile")
    func slowCrowd() {
        var delivery = Self.delivery(parts: 1)
        var (lacking, arriving) = (Set<String>(), [(at: Timestamp, to: Set<String>)]())
        var (sent, served) = (0, 0)
        var now = start
        while served < 500, now < start + .minutes(2) {
            var parts: [Int] = []
            let came = (now - start).milliseconds / 10
            if came < 100 {
                for number in 0..<5 {
                    let machine = "m\(came)-\(number)"
                    lacking.insert(machine)
                    parts += Self.parts(delivery.wants(machine, have: PartRanges(), at: now))
                }
            }
            for (_, machines) in arriving.filter({ $0.at <= now }) {
                for machine in machines.intersection(lacking) {
                    lacking.remove(machine)
                    served += 1
                    parts += Self.parts(delivery.wants(machine, have: Self.have("0"), at: now))
                }
            }
            arriving.removeAll { $0.at <= now }
            if let due = delivery.nextDeadline, due <= now { parts += Self.parts(delivery.due(at: now)) }
            for _ in parts {
                sent += 1
                arriving.append((now + .seconds(5), lacking))
            }
            _ = Self.take(&delivery, parts, at: now)
            now = now + .milliseconds(10)
        }
        #expect(served == 500)
        #expect(sent <= 4, "\(sent)")
    }

    @Test("A crowd is answered together, within a glance")
    func crowd() throws {
        var delivery = Self.delivery(parts: 3)
        var answers = 0
        for index in 0..<Delivery.crowd { answers += delivery.wants("m\(index)", have: PartRanges(), at: start).count }
        #expect(answers == 3)
        _ = Self.take(&delivery, [0, 1, 2])
        let now = start + .seconds(1)
        for index in 100..<200 {
            #expect(delivery.wants("m\(index)", have: PartRanges(), at: now).isEmpty)
        }
        let due = try #require(delivery.nextDeadline)
        #expect(due == now + Delivery.glance)
        #expect(Self.parts(delivery.due(at: due)).isEmpty)
        let gathered = try #require(delivery.nextDeadline)
        #expect(gathered == now + Delivery.crowdGathering(164))
        #expect(Self.parts(delivery.due(at: gathered)) == [0, 1, 2])
        #expect(Self.take(&delivery, [0, 1, 2], at: gathered).isEmpty)
        #expect(try #require(delivery.nextDeadline) > gathered)
    }

    @Test("A receiver that lost its store gets everything again")
    func lostStore() {
        var delivery = Self.delivery(parts: 6, window: 6)
        _ = Self.take(&delivery, Self.parts(delivery.wants("a", have: PartRanges(), at: start)))
        _ = delivery.wants("a", have: Self.have("0-4"), at: start)
        #expect(Self.parts(delivery.wants("a", have: PartRanges(), at: start)) == [0, 1, 2, 3, 4, 5])
    }

    @Test("What may be under way to all is divided among those who receive, and among streams; to each goes a little")
    func shared() {
        func growth(_ bytes: Int) -> [Int] {
            var delivery = Delivery(parts: 2000, partSize: 262_144, bandwidth: nil, at: start)
            delivery.share(underWay: bytes, bandwidth: nil)
            var (sent, counts) = (0, [Int]())
            for _ in 0..<6 {
                let parts = Self.parts(delivery.wants("a", have: PartRanges(upTo: sent), at: start))
                _ = Self.take(&delivery, parts)
                counts.append(parts.count)
                sent += parts.count
            }
            return counts
        }
        #expect(growth(Delivery.standardUnderWay) == [8, 16, 32, 64, 64, 64])
        #expect(growth(Delivery.standardUnderWay / 8) == [8, 16, 32, 32, 32, 32])
        #expect(growth(1) == [8, 8, 8, 8, 8, 8])
    }

    @Test("Who left is not waited for, and a stream without receivers is idle when the broker has taken its parts")
    func left() {
        var delivery = Self.delivery()
        let first = Self.parts(delivery.wants("a", have: PartRanges(), at: start))
        #expect(delivery.left("a", at: start).isEmpty)
        #expect(!delivery.isIdle)
        _ = Self.take(&delivery, first)
        #expect(delivery.isIdle)
    }

    @Test("A bundle without parts wants nothing")
    func empty() {
        var delivery = Self.delivery(parts: 0)
        #expect(delivery.wants("a", have: PartRanges(), at: start).isEmpty)
        #expect(delivery.isIdle)
    }
}
