import Fleet
import Rules
import Testing
import TestSupport

@Suite("And, or and not know three answers: true, false, and not known")
struct LogicTests {
    private let unknown = absent
    private let here = scope(machine())

    private func value(_ expression: Expression) -> Bool? {
        guard case .bool(let value) = here.value(of: expression) else { return nil }
        return value
    }

    @Test("The tables")
    func tables() {
        for (left, right, both, either) in [
            (yes, yes, true, true), (yes, no, false, true), (no, yes, false, true), (no, no, false, false),
            (yes, unknown, nil, true), (unknown, yes, nil, true), (no, unknown, false, nil), (unknown, no, false, nil),
            (unknown, unknown, nil, nil),
        ] as [(Expression, Expression, Bool?, Bool?)] {
            #expect(value(.binary(.and, left, right)) == both)
            #expect(value(.binary(.or, left, right)) == either)
        }
        #expect(value(.unary(.not, yes)) == false)
        #expect(value(.unary(.not, no)) == true)
        #expect(value(.unary(.not, unknown)) == nil)
    }

    @Test("What the tree groups belongs together: (a || b) && c is not a || (b && c)")
    func grouping() {
        #expect(value(.binary(.and, .binary(.or, yes, no), no)) == false)
        #expect(value(.binary(.or, yes, .binary(.and, no, no))) == true)
        #expect(value(.unary(.not, .binary(.and, yes, no))) == true)
        #expect(value(.binary(.and, .unary(.not, yes), no)) == false)
    }

    @Test("De Morgan's laws hold, also where facts are absent", arguments: 1...200 as ClosedRange<UInt64>)
    func deMorgan(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let left = condition(&generator, depth: 3)
        let right = condition(&generator, depth: 3)
        #expect(
            value(.unary(.not, .binary(.and, left, right)))
                == value(.binary(.or, .unary(.not, left), .unary(.not, right))))
        #expect(
            value(.unary(.not, .binary(.or, left, right)))
                == value(.binary(.and, .unary(.not, left), .unary(.not, right))))
        #expect(value(.unary(.not, .unary(.not, left))) == value(left))
        #expect(value(.binary(.and, left, right)) == value(.binary(.and, right, left)))
        #expect(!(here.holds(left) && here.holds(.unary(.not, left))))
    }

    private func condition(_ generator: inout SeededGenerator, depth: Int) -> Expression {
        switch Int.random(in: 0..<(depth == 0 ? 3 : 6), using: &generator) {
        case 0: yes
        case 1: no
        case 2: unknown
        case 3: .unary(.not, condition(&generator, depth: depth - 1))
        case 4: .binary(.and, condition(&generator, depth: depth - 1), condition(&generator, depth: depth - 1))
        default: .binary(.or, condition(&generator, depth: depth - 1), condition(&generator, depth: depth - 1))
        }
    }
}
