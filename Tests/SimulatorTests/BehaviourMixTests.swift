import Testing

@testable import Simulator

@Suite("Mixes of behaviours")
struct BehaviourMixTests {
    @Test("The same seed gives the same machines the same behaviour, another seed others, and the counts are right")
    func seeded() throws {
        let mix = try BehaviourMix("steady=90%,slow=5%,flapping=2%,failing=1%,garbage=1%,losing=1%")
        let dealt = try mix.dealt(to: 1000, seed: 7)
        #expect(try mix.dealt(to: 1000, seed: 7) == dealt)
        #expect(try mix.dealt(to: 1000, seed: 8) != dealt)
        let counts = Dictionary(grouping: dealt, by: { $0 }).mapValues(\.count)
        #expect(counts == [.steady: 900, .slow: 50, .flapping: 20, .failing: 10, .garbage: 10, .losing: 10])
    }

    @Test("Whoever asks for a share of few machines gets one, and the rest is steady")
    func few() throws {
        let dealt = try BehaviourMix("slow=1%,failing=3").dealt(to: 10, seed: 1)
        let counts = Dictionary(grouping: dealt, by: { $0 }).mapValues(\.count)
        #expect(counts == [.steady: 6, .slow: 1, .failing: 3])
        #expect(try BehaviourMix().dealt(to: 2, seed: 1) == [.steady, .steady])
        #expect(try BehaviourMix("slow=0%").dealt(to: 2, seed: 1) == [.steady, .steady])
    }

    @Test(
        "What can't be is refused, and says what there is",
        arguments: [
            ("quick=5%", "no behaviour is called \"quick\"; there are steady, slow"), ("slow", "\"slow\" is not like"),
            ("slow=5%,slow=1%", "slow stands twice"), ("slow=101%", "\"101%\" is neither"), ("slow=-1", "\"-1\""),
            ("slow=+1", "\"+1\""), ("", "\"\" is not like"), ("slow=60%,losing=60%", "make 120 %"),
        ])
    func refused(text: String, why: String) {
        let fault = #expect(throws: BehaviourMix.Fault.self) { try BehaviourMix(text) }
        #expect(fault?.description.contains(why) == true, "\(fault?.description ?? "")")
    }

    @Test("More machines with a behaviour than machines are refused")
    func tooMany() throws {
        let mix = try BehaviourMix("slow=3,losing=3")
        #expect(throws: BehaviourMix.Fault.self) { try mix.dealt(to: 5, seed: 1) }
        #expect(try mix.dealt(to: 6, seed: 1).count == 6)
    }
}
