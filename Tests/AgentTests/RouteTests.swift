import Fleet
import Messaging
import Testing

@testable import Agent

@Suite("The way to the broker")
struct RouteTests {
    @Test("who has no certificate goes over boot, who has one as itself, also after a broker that nobody reached")
    func ways() {
        var route = Route(.boot)
        #expect(route.next(after: .none, hasCertificate: false) == .boot)
        #expect(route.next(after: .connected, hasCertificate: true) == .known)
        for _ in 0..<100 { #expect(route.next(after: .unreachable, hasCertificate: true) == .known) }
        #expect(route.next(after: .connected, hasCertificate: false) == .boot)
        var plain = Route(.plain)
        #expect(plain.next(after: .refused, hasCertificate: false) == .plain)
    }

    @Test("connections that are cut park no machine on the boot port; hanging up again and again is a refusal")
    func cuts() {
        var route = Route(.boot)
        #expect(route.next(after: .none, hasCertificate: true) == .known)
        for _ in 0..<10 {
            for _ in 1..<Route.mostCuts { #expect(route.next(after: .cut, hasCertificate: true) == .known) }
            #expect(route.next(after: .connected, hasCertificate: true) == .known)
        }
        for _ in 1..<Route.mostCuts { #expect(route.next(after: .cut, hasCertificate: true) == .known) }
        #expect(route.next(after: .cut, hasCertificate: true) == .boot)
        #expect(route.next(after: .connected, hasCertificate: true) == .known)
    }

    @Test("who is refused as itself asks over boot, tries itself again after that, and more and more rarely")
    func refusals() {
        var route = Route(.known)
        var detours: [TimeSpan] = []
        for _ in 0..<9 {
            #expect(route.next(after: .refused, hasCertificate: true) == .boot)
            detours.append(route.detour)
            #expect(route.next(after: .connected, hasCertificate: true) == .known)
        }
        #expect(detours == [15, 30, 60, 120, 240, 480, 600, 600, 600].map { .seconds($0) })
        _ = route.next(after: .connected, hasCertificate: true)
        _ = route.next(after: .refused, hasCertificate: true)
        #expect(route.detour == .seconds(15))
    }

    @Test("addresses are tried in turn; one that works is kept, also where others come")
    func turn() throws {
        func address(_ host: String) throws -> BrokerAddress { try #require(BrokerAddress("mqtts://\(host):8883")) }
        let (a, b, c) = (try address("a"), try address("b"), try address("c"))
        var turn = Turn([a, b])
        #expect(turn.current == a)
        turn.pass()
        #expect(turn.current == b)
        turn.replace([c, b, a])
        #expect(turn.current == b)
        turn.pass()
        #expect(turn.current == a)
        turn.pass()
        #expect(turn.current == c)
        turn.replace([a])
        #expect(turn.current == a)
        var none = Turn([])
        none.pass()
        #expect(none.current == nil)
    }

    @Test("of the addresses in a ticket those count that are addresses of its kind, each once")
    func ticket() throws {
        let first = try #require(BrokerAddress("mqtts://a:8883"))
        let all = Ticket.all(first, ["mqtts://b:1", "mqtt://c:1", "nonsense", "mqtts://a:8883"], isSecure: true)
        #expect(all.map(\.description) == ["mqtts://a:8883", "mqtts://b:1"])
    }
}
