import Fleet
import Monitor
import Testing

/// What a machine cannot read does not become readable by being said again.
@Suite("A machine that answers and does not take its order")
struct NotFollowingTests {
    private static func sends(_ effects: [Monitor.Effect]) -> Int {
        effects.count { if case .sendOrder = $0 { true } else { false } }
    }

    @Test("it is sent again with doubled pauses, and after the fourth time the history says that it is in vain, once")
    func backoff() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.send(.restartMachine("edge-1"))
        let accepted = (desk.monitor.machine("edge-1")?.wanted.order?.generation ?? 0) - 1
        var sentAt: [Int64] = []
        let began = desk.now
        // A heartbeat each 10 s for an hour, none of which takes the order.
        for _ in 0..<360 {
            desk.now = desk.now + .seconds(10)
            let effects = desk.report(
                "edge-1", generation: accepted, order: accepted, reason: "it speaks version 3 of the wire")
            if Self.sends(effects) > 0 { sentAt.append((desk.now - began).milliseconds / 1000) }
        }
        let pauses = zip(sentAt, sentAt.dropFirst()).map { $1 - $0 }
        #expect(Array(pauses.prefix(5)) == [20, 40, 80, 160, 320])
        #expect(pauses.dropFirst(5).allSatisfy { $0 == 600 } && pauses.count > 8)
        let said = desk.history.filter { $0.kind == .machineNotFollowing }
        #expect(said.count == 1)
        #expect(said.first?.message.hasSuffix("was sent again 4 times: it speaks version 3 of the wire") == true)
    }

    @Test("a new connection or a new order is answered at once again")
    func again() {
        var desk = Desk(converged: Samples.group(count: 1))
        desk.send(.restartMachine("edge-1"))
        let accepted = (desk.monitor.machine("edge-1")?.wanted.order?.generation ?? 0) - 1
        for _ in 0..<60 {
            desk.now = desk.now + .seconds(10)
            desk.report("edge-1", generation: accepted, order: accepted)
        }
        desk.reconnect("edge-1")
        var effects = desk.report("edge-1", generation: accepted, order: accepted)
        #expect(Self.sends(effects) == 1)
        effects = desk.send(.restartMachine("edge-1"))
        #expect(Self.sends(effects) == 1)
        desk.now = desk.now + .seconds(10)
        effects = desk.report("edge-1", generation: accepted, order: accepted)
        #expect(Self.sends(effects) == 1)
    }

    @Test("one that speaks no version of the wire that the manager knows is sent nothing, and the history says why")
    func otherWire() {
        var desk = Desk(converged: Samples.group(count: 1))
        var status = desk.status("edge-1")
        status.sequence += 1
        (status.agent, status.wires) = ("9.0.0", [3, 4])
        desk.send(.status(status))
        let effects = desk.send(.restartMachine("edge-1"))
        #expect(Self.sends(effects) == 0)
        let said = desk.history.filter { $0.kind == .machineNotFollowing }
        #expect(said.map(\.facts) == [["agent": "9.0.0"]])
        #expect(said.first?.message.contains("speaks version 3, 4 of the wire, and this manager 2") == true)
    }

    @Test("one that speaks a newer version as well is spoken to as today", arguments: [[2, 3], [2], nil])
    func common(wires: [Int]?) {
        var desk = Desk(converged: Samples.group(count: 1))
        var status = desk.status("edge-1")
        status.sequence += 1
        status.wires = wires
        desk.send(.status(status))
        let effects = desk.send(.restartMachine("edge-1"))
        #expect(Self.sends(effects) == 1)
    }
}
