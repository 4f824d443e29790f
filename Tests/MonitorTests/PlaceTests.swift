import Fleet
import Monitor
import TestSupport
import Testing

@Suite("Places of machines that join by invitation")
struct PlaceTests {
    @Test("Who joins has the lowest place that is free, whatever came and went before", arguments: 0..<60)
    func lowest(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var desk = Desk(running: Samples.group(count: 8, minimum: 0, maximum: 20, platform: .none))
        var joined = 0
        for _ in 0..<120 {
            let machines = desk.monitor.machines(of: "edge")
            switch Int.random(in: 0..<10, using: &random) {
            case 0: desk.send(.revokeMachine(machines.randomElement(using: &random)?.id ?? "nobody"))
            case 1: desk.send(.replaceMachine(machines.randomElement(using: &random)?.id ?? "nobody"))
            case 2:
                let id = machines.first { $0.phase == .leaving }?.id ?? "nobody"
                desk.send(.released(machine: id))
            case 3:
                desk.user("edge", .revised) { $0.definition.machines.count = Int.random(in: 0...20, using: &random) }
            case 4: desk.restartManager()
            default:
                let taken = Set(machines.filter { $0.phase != .revoked }.map(\.index))
                let count = desk.monitor.group("edge")?.definition.machines.count ?? 0
                let free = (0..<count).first { !taken.contains($0) }
                #expect(desk.monitor.canJoin(group: "edge") == (free != nil))
                joined += 1
                desk.join("edge-x\(joined)")
                #expect(desk.monitor.machine("edge-x\(joined)")?.index == free)
            }
        }
        #expect(joined > 20)
    }
}
