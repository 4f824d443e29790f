import Fleet

/// What a simulated machine is like.
package enum Behaviour: String, CaseIterable, Codable, CodingKeyRepresentable, Sendable {
    /// Does what its orders say.
    case steady
    /// Takes seconds where others take milliseconds.
    case slow
    /// Its health check passes and fails in turns.
    case flapping
    /// Cannot run any software but the first that it ran: it goes back to that.
    case failing
    /// Also says, under its own name, what nobody can believe.
    case garbage
    /// Its network breaks again and again, and is back after seconds.
    case losing
    /// Another machine has the same identity, as after a disk was copied.
    case cloned

    /// Whether everything that is expected of a machine may be expected of it at any time.
    var isSteady: Bool { self == .steady }

    /// Whether its connection stays, for all that it does.
    package var staysConnected: Bool { self != .losing && self != .cloned }
}

/// How many of a fleet are what: `steady=90%,slow=5%,flapping=3`. Pure: the same seed gives the same machines the same behaviour.
package struct BehaviourMix: Equatable, Sendable, CustomStringConvertible {
    package enum Share: Equatable, Sendable {
        case percent(Int)
        case count(Int)

        func of(_ machines: Int) -> Int {
            switch self {
            case .count(let count): min(count, machines)
            // Who asks for some wants at least one.
            case .percent(let percent): percent == 0 ? 0 : max(1, (machines * percent + 50) / 100)
            }
        }
    }

    package struct Fault: Error, CustomStringConvertible {
        package var description: String
    }

    package var shares: [Behaviour: Share]

    /// All are steady.
    package init() { shares = [:] }

    package init(_ text: String) throws(Fault) {
        shares = [:]
        var percents = 0
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", omittingEmptySubsequences: false)
            guard sides.count == 2 else {
                throw Fault(description: "\"\(part)\" is not like slow=5% or slow=3")
            }
            guard let behaviour = Behaviour(rawValue: String(sides[0])) else {
                let known = Behaviour.allCases.map(\.rawValue).joined(separator: ", ")
                throw Fault(description: "no behaviour is called \"\(sides[0])\"; there are \(known)")
            }
            guard shares[behaviour] == nil else { throw Fault(description: "\(behaviour.rawValue) stands twice") }
            let isPercent = sides[1].hasSuffix("%")
            let digits = isPercent ? sides[1].dropLast() : sides[1]
            guard let number = Int(digits), digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }),
                number <= (isPercent ? 100 : MachineSet.most)
            else {
                throw Fault(description: "\"\(sides[1])\" is neither a share such as 5% nor a number of machines")
            }
            shares[behaviour] = isPercent ? .percent(number) : .count(number)
            if isPercent { percents += number }
        }
        guard percents <= 100 else { throw Fault(description: "the shares make \(percents) %, which is more than 100") }
    }

    package var description: String {
        Behaviour.allCases.compactMap { behaviour in
            switch shares[behaviour] {
            case .percent(let percent): "\(behaviour.rawValue)=\(percent)%"
            case .count(let count): "\(behaviour.rawValue)=\(count)"
            case nil: nil
            }
        }.joined(separator: ",")
    }

    /// One for each machine; whoever is not asked to be anything else is steady.
    package func dealt(to machines: Int, seed: UInt64) throws(Fault) -> [Behaviour] {
        var dealt: [Behaviour] = []
        for behaviour in Behaviour.allCases where !behaviour.isSteady {
            let count = shares[behaviour]?.of(machines) ?? 0
            dealt += Array(repeating: behaviour, count: count)
        }
        guard dealt.count <= machines else {
            throw Fault(description: "\(self) makes \(dealt.count) machines, and there are to be \(machines)")
        }
        dealt += Array(repeating: .steady, count: machines - dealt.count)
        var dice = Dice(seed: seed)
        dealt.shuffle(using: &dice)
        return dealt
    }
}

/// SplitMix64: the same seed gives the same fleet.
package struct Dice: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }

    /// Somewhere in this range of milliseconds.
    mutating func span(_ range: ClosedRange<Int>) -> Duration {
        .milliseconds(Int.random(in: range, using: &self))
    }
}
