import Fleet
import Testing

@testable import Agent

@Suite("An order that is not followed for long")
struct PatienceTests {
    @Test("counts as failed after a minute, not before, and no longer once nothing is in its way")
    func minute() {
        var patience = Patience()
        #expect(patience.deadline == nil && !patience.isOver)
        patience.look(isHindered: true, now: .seconds(100))
        #expect(patience.deadline == .seconds(160))
        patience.look(isHindered: true, now: .seconds(159))
        #expect(!patience.isOver && patience.deadline == .seconds(160))
        patience.look(isHindered: true, now: .seconds(160))
        #expect(patience.isOver && patience.deadline == nil)
        patience.look(isHindered: false, now: .seconds(161))
        #expect(!patience.isOver && patience.deadline == nil)
    }

    @Test("a hindrance that ended and came again counts anew")
    func again() {
        var patience = Patience()
        patience.look(isHindered: true, now: .seconds(0))
        patience.look(isHindered: false, now: .seconds(50))
        patience.look(isHindered: true, now: .seconds(55))
        patience.look(isHindered: true, now: .seconds(110))
        #expect(!patience.isOver)
    }
}
