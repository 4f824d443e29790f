import Fleet
import Rules
import Testing

@Suite("An expression has the value that its facts give it, or none")
struct ExpressionTests {
    private func calls(_ value: Double) -> Scope { scope(machine(metrics: ["calls": value])) }

    @Test(
        "Numbers compare",
        arguments: [
            (BinaryOperator.less, [true, false, false]), (.lessOrEqual, [true, true, false]),
            (.greater, [false, false, true]), (.greaterOrEqual, [false, true, true]), (.equal, [false, true, false]),
            (.notEqual, [true, false, true]),
        ])
    func comparisons(op: BinaryOperator, expected: [Bool]) {
        for (value, expected) in zip([79.0, 80, 81], expected) {
            #expect(calls(value).holds(.binary(op, .metric("calls"), number(80))) == expected)
        }
    }

    @Test("Spans compare with spans, and nothing with another kind")
    func kinds() {
        let short = Expression.value(.span(.seconds(90)))
        let long = Expression.value(.span(.minutes(2)))
        let scope = scope(machine())
        #expect(scope.holds(.binary(.less, short, long)))
        #expect(!scope.holds(.binary(.greater, short, long)))
        for op in [BinaryOperator.less, .lessOrEqual, .greater, .greaterOrEqual] {
            #expect(scope.value(of: .binary(op, short, number(1))) == nil)
            #expect(scope.value(of: .binary(op, word("a"), word("b"))) == nil)
        }
        #expect(!scope.holds(number(1)), "only a truth is true")
    }

    @Test(
        "Arithmetic",
        arguments: [
            (BinaryOperator.add, 7.0, 2.0, 9.0), (.subtract, 7, 2, 5), (.multiply, 7, 2, 14), (.divide, 7, 2, 3.5),
            (.remainder, 7, 2, 1), (.remainder, -7, 2, -1),
        ] as [(BinaryOperator, Double, Double, Double)])
    func arithmetic(op: BinaryOperator, left: Double, right: Double, result: Double) {
        #expect(scope(nil).value(of: .binary(op, number(left), number(right))) == .number(result))
    }

    @Test(
        "What has no number as its result has none at all: no comparison with it is true",
        arguments: [
            (BinaryOperator.divide, 1.0, 0.0), (.divide, 0, 0), (.remainder, 1, 0), (.multiply, 1e300, 1e300),
            (.add, .greatestFiniteMagnitude, .greatestFiniteMagnitude), (.divide, 1e300, 1e-300),
        ] as [(BinaryOperator, Double, Double)])
    func undefined(op: BinaryOperator, left: Double, right: Double) {
        let expression = Expression.binary(op, number(left), number(right))
        #expect(scope(nil).value(of: expression) == nil)
        for op in [BinaryOperator.equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual] {
            #expect(!scope(nil).holds(.binary(op, expression, number(0))))
            #expect(!scope(nil).holds(.binary(op, expression, expression)))
        }
    }

    @Test("A metric or software that was not reported makes its comparison neither true nor its opposite")
    func absence() {
        let silent = scope(machine(reported: false))
        let idle = scope(machine(health: nil))
        for scope in [silent, idle, scope(nil)] {
            for comparison in [
                Expression.binary(.greater, .metric("calls"), number(80)),
                .binary(.notEqual, .fact(.softwareHealth), word("failing")),
                .binary(.less, .fact(.softwareRestarts), number(3)),
                .binary(.equal, .fact(.softwareVersion), .fact(.softwareVersion)),
            ] {
                #expect(!scope.holds(comparison))
                #expect(!scope.holds(.unary(.not, comparison)))
            }
        }
    }

    @Test("A machine that runs nothing has a digest that differs from every digest, so that it is delivered to")
    func noDigest() {
        let differs = Expression.binary(.notEqual, .fact(.softwareDigest), .fact(.groupDigest))
        #expect(scope(machine(health: nil)).holds(differs))
        #expect(scope(machine(reported: false)).holds(differs))
        #expect(scope(machine(digest: "d1")).holds(differs))
        #expect(!scope(machine(digest: "d2")).holds(differs))
    }

    @Test("Facts of the machine and of the group have the values of their records")
    func facts() {
        var counts = GroupCounts()
        (counts.present, counts.verified, counts.failed, counts.away) = (5, 4, 3, 2)
        let scope = scope(machine("edge-7", index: 6, away: true, verified: true), counts: counts)
        let expected: [Fact: FactValue] = [
            .machineID: .text("edge-7"), .machineIndex: .number(6), .machineState: .text("away"),
            .platformState: .text("unknown"),
            .machinePlatform: .text("local"), .machineVerified: .bool(true), .softwareName: .text("kamailio"),
            .softwareVersion: .text("5.6.3"), .softwareDigest: .text("d1"), .softwareHealth: .text("passing"),
            .softwareRestarts: .number(2), .groupDigest: .text("d2"), .groupService: .text("voice"),
            .groupCount: .number(3), .groupPresent: .number(5), .groupVerified: .number(4), .groupFailed: .number(3),
            .groupAway: .number(2),
        ]
        for fact in Fact.allCases { #expect(scope.value(of: .fact(fact)) == expected[fact], "\(fact.rawValue)") }
    }

    @Test("An env value is its plain text, whole numbers without a fraction; a secret stays a name")
    func environment() {
        let scope = scope(machine(index: 2))
        func value(_ expression: Expression) -> OrderValue { RuleEngine.environmentValue(expression, in: scope) }
        #expect(value(.binary(.add, number(5060), .fact(.machineIndex))) == .plain("5062"))
        #expect(value(.binary(.add, .value(.string("sip-")), .fact(.machineIndex))) == .plain("sip-2"))
        #expect(value(number(0.5)) == .plain("0.5"))
        #expect(value(.unary(.negate, number(3))) == .plain("-3"))
        #expect(value(yes) == .plain("true"))
        #expect(value(.value(.span(.seconds(90)))) == .plain("90s"))
        #expect(value(.secret("sip-key")) == .secret("sip-key"))
        #expect(value(number(1e300)) == .plain("1e+300"))
    }
}
