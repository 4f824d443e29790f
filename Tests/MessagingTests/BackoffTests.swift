import Testing
import TestSupport

@testable import Messaging

@Suite("The pauses between attempts to connect")
struct BackoffTests {
    /// The next pauses, in milliseconds.
    private func pauses(_ backoff: inout Backoff, _ count: Int, seed: UInt64 = 1) -> [Int32] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in backoff.next(using: &generator) }
    }

    @Test(
        "They double up to ten seconds, each drawn from all but the first tenth of it, so that a fleet is spread",
        arguments: 0..<20 as Range<UInt64>)
    func growth(seed: UInt64) {
        var backoff = Backoff()
        let ends: [Int32] = [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]
        for (pause, end) in zip(pauses(&backoff, ends.count, seed: seed), ends) {
            #expect((end / 10...end).contains(pause))
        }
    }

    @Test("A connection that held makes them short again; one that was soon lost does not")
    func steady() {
        var backoff = Backoff()
        _ = pauses(&backoff, 6)
        backoff.lost(after: .seconds(1), takenOver: false)
        #expect(pauses(&backoff, 1)[0] >= 1000)
        backoff.lost(after: .seconds(31), takenOver: false)
        #expect(pauses(&backoff, 1)[0] <= 200)
    }

    @Test(
        "Two clients with one name take the connection from each other ever more rarely, though each holds it while the other pauses"
    )
    func takenOver() {
        var (one, other) = (Backoff(), Backoff())
        var generator = SeededGenerator(seed: 7)
        var last: [Int32] = []
        for _ in 0..<20 {
            let held = one.next(using: &generator)
            other.lost(after: .milliseconds(held), takenOver: false)
            swap(&one, &other)
            last.append(held)
        }
        #expect(last.suffix(6).allSatisfy { $0 >= 1000 }, "\(last)")
        one.lost(after: .seconds(60), takenOver: true)
        #expect(one.next(using: &generator) >= 1000, "also where it is known and took long")
    }

    @Test("Ten thousand whose broker comes back are spread: no tenth of the time has more than a seventh of them")
    func spread() {
        var random = SeededGenerator(seed: 7)
        var tenths = [Int](repeating: 0, count: 10)
        for _ in 0..<10_000 {
            var backoff = Backoff(first: 1000)
            tenths[min(9, Int(backoff.next(using: &random) - 100) / 90)] += 1
        }
        #expect(tenths.allSatisfy { (700...1430).contains($0) }, "\(tenths)")
    }

    @Test("Where another client is known to have the name they grow to a minute")
    func contested() {
        var backoff = Backoff.afterTakeOver
        let ends: [Int32] = [4000, 8000, 16_000, 32_000, 60_000, 60_000]
        for (pause, end) in zip(pauses(&backoff, ends.count), ends) { #expect((end / 10...end).contains(pause)) }
    }

    @Test("who is refused asks every few minutes in the end, and soon again once he was let in")
    func refused() {
        var backoff = Backoff.afterRefusal
        #expect(pauses(&backoff, 1).allSatisfy { $0 <= 1000 })
        _ = pauses(&backoff, 10)
        #expect(pauses(&backoff, 100).allSatisfy { (30_000...300_000).contains($0) })
        backoff.reset()
        #expect(pauses(&backoff, 1).allSatisfy { $0 <= 1000 })
    }
}
