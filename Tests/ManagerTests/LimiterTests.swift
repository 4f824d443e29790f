import Fleet
import Testing

@testable import Manager

@Suite("Limits against floods and guesses")
struct LimiterTests {
    let start = Timestamp(milliseconds: 1_767_225_600_000)

    @Test("A token may make twice its rate at once, and then its rate")
    func bucket() {
        var limiter = RequestLimiter(perSecond: 10)
        for _ in 0..<20 { #expect(limiter.take("a", at: start) == nil) }
        #expect(limiter.take("a", at: start) == .milliseconds(100))
        #expect(limiter.take("b", at: start) == nil, "another token has its own")
        #expect(limiter.take("a", at: start + .milliseconds(100)) == nil)
        #expect(limiter.take("a", at: start + .milliseconds(100)) != nil)
        var taken = 0
        for step in 1...1000 where limiter.take("a", at: start + .milliseconds(100 + Int64(step) * 10)) == nil {
            taken += 1
        }
        #expect(taken == 100, "10 s at 10 a second")
        for _ in 0..<20 { #expect(limiter.take("a", at: start + .hours(1)) == nil) }
        #expect(limiter.take("a", at: start + .hours(1)) != nil, "it does not save up more than that")
    }

    @Test("A clock that is set back neither fills the bucket nor empties it")
    func clock() {
        var limiter = RequestLimiter(perSecond: 1)
        for _ in 0..<2 { #expect(limiter.take("a", at: start) == nil) }
        #expect(limiter.take("a", at: start - .hours(1)) != nil)
        #expect(limiter.take("a", at: start - .hours(1) + .seconds(1)) == nil, "and it fills again from there")
    }

    @Test("Tokens are remembered in bounded number")
    func boundedTokens() {
        var limiter = RequestLimiter(perSecond: 1)
        for number in 0..<25_000 { _ = limiter.take("t\(number)", at: start) }
        #expect(limiter.count <= RequestLimiter.most)
    }

    @Test("Nine wrong tokens are mistakes; with the tenth the address waits, and each time twice as long up to a limit")
    func growth() {
        var limiter = FailureLimiter()
        var now = start
        for wait in [10, 20, 40, 80, 160, 320, 640, 900, 900, 900] {
            for _ in 0..<9 {
                limiter.failed("a", at: now)
                #expect(limiter.wait("a", at: now) == nil)
            }
            limiter.failed("a", at: now)
            #expect(limiter.wait("a", at: now) == .seconds(Int64(wait)))
            #expect(limiter.wait("b", at: now) == nil, "nobody else waits for it")
            now = now + .seconds(Int64(wait)) - .milliseconds(1)
            #expect(limiter.wait("a", at: now) == .milliseconds(1))
            now = now + .milliseconds(1)
            #expect(limiter.wait("a", at: now) == nil)
        }
        now = now + .hours(2)
        for _ in 0..<10 { limiter.failed("a", at: now) }
        #expect(limiter.wait("a", at: now) == .seconds(10), "after a long quiet it begins anew")
    }

    @Test("Mistakes that are spread over time never make anybody wait")
    func slowMistakes() {
        var limiter = FailureLimiter()
        for step in 0..<1000 {
            let now = start + .seconds(Int64(step) * 8)
            limiter.failed("a", at: now)
            #expect(limiter.wait("a", at: now) == nil)
        }
    }

    @Test("Addresses are remembered in bounded number, and those that wait are the last to be forgotten")
    func boundedAddresses() {
        var limiter = FailureLimiter(addresses: 100)
        for _ in 0..<10 { limiter.failed("guesser", at: start) }
        for number in 0..<10_000 { limiter.failed("n\(number)", at: start + .milliseconds(Int64(number) / 10)) }
        #expect(limiter.count <= 100)
        #expect(limiter.wait("guesser", at: start + .seconds(2)) != nil)
        // Also where all of them wait.
        for number in 0..<500 { for _ in 0..<10 { limiter.failed("g\(number)", at: start + .seconds(3)) } }
        #expect(limiter.count <= 100)
    }

    @Test("A clock that is set back keeps nobody out until it is where it was")
    func clockOfFailures() {
        var limiter = FailureLimiter()
        for _ in 0..<10 { limiter.failed("a", at: start) }
        #expect(limiter.wait("a", at: start - .hours(24)) == nil)
    }

    @Test("An IPv6 address stands for its network, an IPv4 address for itself, however it is written")
    func networks() {
        #expect(Authenticator.network(of: "2001:db8::1") == Authenticator.network(of: "2001:db8:0:0:ffff::2"))
        #expect(Authenticator.network(of: "2001:db8::1") != Authenticator.network(of: "2001:db8:0:1::1"))
        #expect(Authenticator.network(of: "::ffff:192.0.2.1") == Authenticator.network(of: "192.0.2.1"))
        #expect(Authenticator.network(of: "192.0.2.1") != Authenticator.network(of: "192.0.2.2"))
    }
}
