import Fleet
import Rules
import Testing
import TestSupport

@Suite("How long a value of env can become")
struct LongestValueTests {
    private let last = scope(machine("edge-99999999", index: 9999))

    @Test("No machine's value is longer than what is foreseen", arguments: 0..<200)
    func bound(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let expression = value(depth: 4, &random)
        let longest = bytes(RuleEngine.longestEnvironmentValue(expression, in: last))
        for index in [0, 1, 2, 3, 7, 10, 99, 101, 1023, 9998, 9999] {
            let own = scope(machine("edge-\(index + 1)", index: index))
            let actual = bytes(RuleEngine.environmentValue(expression, in: own))
            #expect(actual <= longest, "\(expression) at \(index)")
        }
    }

    @Test("What varies in no number is foreseen to the letter")
    func exact() {
        func longest(_ expression: Expression) -> OrderValue {
            RuleEngine.longestEnvironmentValue(expression, in: last)
        }
        let text = Expression.value(.string("sip:"))
        #expect(longest(text) == .plain("sip:"))
        #expect(longest(.binary(.add, text, .fact(.machineID))) == .plain("sip:edge-99999999"))
        #expect(longest(.binary(.add, text, .binary(.add, number(1), number(2)))) == .plain("sip:3"))
        #expect(longest(.fact(.machineIndex)) == .plain("9999"))
        #expect(longest(.binary(.add, number(5060), number(1))) == .plain("5061"))
        #expect(longest(.unary(.negate, number(3))) == .plain("-3"))
        #expect(longest(.secret("key")) == .secret("key"))
        #expect(bytes(longest(.binary(.divide, number(10), .fact(.machineIndex)))) == 24)
    }

    private func bytes(_ value: OrderValue) -> Int {
        switch value {
        case .plain(let text), .secret(let text): text.utf8.count
        }
    }

    private func value(depth: Int, _ random: inout SeededGenerator) -> Expression {
        let leaves: [Expression] = [
            number(0), number(7), number(1e300), number(0.1), .value(.string("é-")), .fact(.machineID),
            .fact(.machineIndex), .fact(.groupCount), .fact(.groupService),
        ]
        guard depth > 0, Int.random(in: 0...5, using: &random) > 0 else {
            return leaves[Int.random(in: 0..<leaves.count, using: &random)]
        }
        if Int.random(in: 0...5, using: &random) == 0 { return .unary(.negate, value(depth: depth - 1, &random)) }
        let operators: [BinaryOperator] = [.add, .add, .subtract, .multiply, .divide, .remainder]
        return .binary(
            operators[Int.random(in: 0..<operators.count, using: &random)], value(depth: depth - 1, &random),
            value(depth: depth - 1, &random))
    }
}
