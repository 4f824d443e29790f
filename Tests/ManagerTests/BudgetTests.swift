import Fleet
import Testing

@testable import Manager

@Suite("Budgets") struct BudgetTests {
    private let start = Timestamp(milliseconds: 1_800_000_000_000)

    private func taken(_ bucket: inout TokenBucket, of count: Int, at now: Timestamp) -> Int {
        (0..<count).reduce(0) { sum, _ in sum + (bucket.take(at: now) ? 1 : 0) }
    }

    @Test("A bucket gives its burst at once, and then one for each period")
    func bucket() {
        var bucket = TokenBucket(burst: 1000, perSecond: 200)
        #expect(taken(&bucket, of: 3000, at: start) == 1000)
        #expect(taken(&bucket, of: 3000, at: start + .seconds(1)) == 200)
        #expect(taken(&bucket, of: 3000, at: start + .milliseconds(1005)) == 1)
        #expect(taken(&bucket, of: 3000, at: start + .hours(1)) == 1000)
    }

    @Test("Each key has a bucket of its own, and what is remembered is bounded")
    func buckets() {
        var buckets = TokenBuckets(TokenBucket(burst: 2, perHour: 1), most: 100)
        let first = [buckets.take("a", at: start), buckets.take("a", at: start), buckets.take("a", at: start)]
        #expect(first == [true, true, false])
        let other = buckets.take("b", at: start)
        #expect(other)
        for index in 0..<1000 { _ = buckets.take("k\(index)", at: start) }
        #expect(buckets.count <= 100)
    }

    @Test("Strangers use up nothing of the machines', nor one machine of another's")
    func fairness() throws {
        let budgets = Budgets()
        var opened = 0
        while (try? budgets.openFirst(ticket: "t", uses: 3, at: start)) != nil { opened += 1 }
        #expect(opened == 1000)
        // Who has another ticket has what it was made for.
        opened = 0
        while (try? budgets.openFirst(ticket: "u", uses: 4000, at: start)) != nil { opened += 1 }
        #expect(opened == 4000)
        #expect((0..<1000).filter { _ in budgets.mayRecord(refusalOf: nil, at: start).0 }.count == 60)
        #expect((0..<1000).filter { _ in budgets.mayRecord(refusalOf: "a", at: start).0 }.count == 10)
        try budgets.open(machine: "b", at: start)
        #expect(budgets.mayRecord(refusalOf: "b", at: start).0)
    }

    @Test("What was not written down is counted in what is written next")
    func unwritten() {
        let budgets = Budgets()
        for _ in 0..<100 { _ = budgets.mayRecord(refusalOf: nil, at: start) }
        let (may, more) = budgets.mayRecord(refusalOf: nil, at: start + .minutes(1))
        #expect(may && more == 40)
    }

    @Test("A machine that flaps a thousand times is some lines and a count; what is done about it always stands there")
    func flapping() {
        var budget = HistoryBudget()
        func event(_ kind: EventEntry.Kind) -> EventEntry {
            EventEntry(at: start, group: "g", machine: "m", kind: kind, actor: "machine m", message: "it flaps")
        }
        let written = (0..<1000).compactMap { _ in budget.admit(event(.machineState), at: start) }
        #expect(written.count == 60)
        #expect((0..<1000).compactMap { _ in budget.admit(event(.ruleActed), at: start) }.count == 1000)
        let next = budget.admit(event(.machineState), at: start + .minutes(1))
        #expect(next?.facts["unlisted"] == "940")
    }
}
