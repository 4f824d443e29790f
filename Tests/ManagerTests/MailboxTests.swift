import Fleet
import Testing

@testable import Manager

@Suite("The mailbox") struct MailboxTests {
    private struct Note: Sendable, Hashable, Coalescing {
        var about: String?
        var number: Int
        var isNewer = true

        func replaces(_ older: Note) -> Bool { isNewer && number > older.number }
    }

    @Test("keeps order, hands over so much at a time, and signals after each put")
    func order() async {
        let mailbox = Mailbox<Note>()
        for number in 0..<10 { mailbox.put(Note(about: nil, number: number)) }
        mailbox.close()
        var taken: [[Int]] = []
        for await _ in mailbox.arrivals {
            while mailbox.count > 0 { taken.append(mailbox.take(atMost: 4).map(\.item.number)) }
        }
        #expect(taken == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]])
    }

    @Test("lets the newest about somebody take the place of the one before, which has waited since then")
    func newest() {
        let mailbox = Mailbox<Note>()
        let start = Timestamp(milliseconds: 1000)
        #expect(!mailbox.put(Note(about: "a", number: 1), since: start))
        #expect(!mailbox.put(Note(about: "b", number: 2), since: start + .seconds(1)))
        #expect(mailbox.put(Note(about: "a", number: 3), since: start + .seconds(2)))
        #expect(!mailbox.put(Note(about: "a", number: 2), since: start + .seconds(3)))
        let taken = mailbox.take(atMost: 10)
        #expect(taken.map(\.item.number) == [3, 2, 2])
        #expect(taken.map(\.since) == [start, start + .seconds(1), start + .seconds(3)])
    }

    @Test("keeps four about one at most, whatever they say of each other")
    func bound() {
        let mailbox = Mailbox<Note>()
        for number in 0..<10_000 { mailbox.put(Note(about: "a", number: number, isNewer: false)) }
        mailbox.put(Note(about: "b", number: 1))
        #expect(mailbox.take(atMost: 10).map(\.item.number) == [0, 1, 2, 9999, 1])
    }

    @Test("has nothing due while what is not urgent gathers, and then wakes its consumer")
    func gathering() async {
        let mailbox = Mailbox<Note>()
        mailbox.put(Note(about: nil, number: 0))
        mailbox.put(Note(about: "a", number: 1), isUrgent: false)
        #expect(mailbox.isDue, "the first is urgent")
        #expect(mailbox.take(atMost: 1).count == 1)
        var arrivals = mailbox.arrivals.makeAsyncIterator()
        while !mailbox.isDue { await arrivals.next() }
        #expect(mailbox.take(atMost: 2).map(\.item.number) == [1])
        #expect(!mailbox.isDue, "nothing waits")

        // What an older one of the same waited counts.
        let old = Timestamp.now - Mailbox<Note>.gatheringTime
        mailbox.put(Note(about: "a", number: 2), since: old, isUrgent: false)
        mailbox.put(Note(about: "a", number: 3), isUrgent: false)
        #expect(mailbox.isDue)
        let taken = mailbox.take(atMost: 2)
        mailbox.putBack(taken)
        #expect(mailbox.isDue, "what could not be handled does not wait again")
        // News of somebody make all that waits due.
        _ = mailbox.take(atMost: 2)
        mailbox.put(Note(about: "b", number: 1), since: .now + .minutes(1), isUrgent: false)
        #expect(!mailbox.isDue)
        mailbox.put(Note(about: "b", number: 2))
        #expect(mailbox.isDue)
    }

    @Test("takes back what could not be handled, before what came since")
    func putBack() {
        let mailbox = Mailbox<Note>()
        for number in 0..<6 { mailbox.put(Note(about: number == 0 ? "a" : nil, number: number)) }
        let taken = mailbox.take(atMost: 3)
        mailbox.put(Note(about: "a", number: 9))
        mailbox.putBack(taken)
        #expect(mailbox.count == 7)
        #expect(mailbox.take(atMost: 10).map(\.item.number) == [0, 1, 2, 3, 4, 5, 9])
    }

    @Test("takes back what was its last, and what comes then still stands for what waits")
    func putBackAll() {
        let mailbox = Mailbox<Note>()
        for number in 0..<3 { mailbox.put(Note(about: "m\(number)", number: number)) }
        mailbox.putBack(mailbox.take(atMost: 10))
        mailbox.put(Note(about: "m1", number: 9))
        mailbox.put(Note(about: "m3", number: 3))
        #expect(mailbox.take(atMost: 1).map(\.item.number) == [0])
        #expect(mailbox.take(atMost: 10).map(\.item.number) == [9, 2, 3])
        #expect(mailbox.count == 0 && mailbox.take(atMost: 1).isEmpty)
    }

    @Test("stays right over many thousands that come and go")
    func long() {
        let mailbox = Mailbox<Note>()
        var expected = 0
        for round in 0..<200 {
            for number in 0..<100 { mailbox.put(Note(about: "m\(round * 100 + number)", number: round * 100 + number)) }
            for waiting in mailbox.take(atMost: 90) {
                #expect(waiting.item.number == expected)
                expected += 1
            }
        }
        #expect(mailbox.count == 2000)
        mailbox.put(Note(about: "m19999", number: 30_000))
        #expect(mailbox.count == 2000)
    }

    @Test("a status stands for those before it of one holder, but not for a will, nor a will for a status")
    func statuses() {
        func status(_ session: Int, _ sequence: Int, _ state: MachineState = .running, holder: String? = nil)
            -> Control.Input
        {
            .status(
                Status(
                    group: "g", machine: "m", session: session, sequence: sequence, at: Timestamp(milliseconds: 0),
                    state: state, holder: holder))
        }
        #expect(status(1, 2).replaces(status(1, 1)))
        #expect(status(2, 1).replaces(status(1, 9)))
        #expect(!status(1, 1).replaces(status(1, 2)))
        #expect(!status(1, 0, .away).replaces(status(1, 2)))
        #expect(!status(2, 1).replaces(status(1, 0, .away)))
        #expect(!status(1, 2, holder: "a").replaces(status(1, 1, holder: "b")))
    }
}
