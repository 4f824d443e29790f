package import Fleet
import FoundationEssentials
import Messaging
import NIOCore
import NIOPosix
import Sealing

/// Machines that exist only as their messages, over real connections with a real broker.
package final class SimulatedFleet: Sendable {
    package struct Configuration: Sendable {
        package var ticket: BootTicket
        package var behaviours: [Behaviour]
        package var seed: UInt64
        /// The first connections are spread over so long.
        package var ramp: TimeSpan
        package var threads: Int

        package init(
            ticket: BootTicket, behaviours: [Behaviour], seed: UInt64, ramp: TimeSpan = .zero, threads: Int = 1
        ) {
            self.ticket = ticket
            self.behaviours = behaviours
            self.seed = seed
            self.ramp = ramp
            self.threads = threads
        }
    }

    /// How a fleet stands.
    package struct Standing: Sendable, Equatable {
        package var machines = 0
        package var registered = 0
        package var connected = 0
        /// They do what they were told last, those too whose behaviour makes them fail at it.
        package var settled = 0
        /// By digest, of those that run something.
        package var running: [String: Int] = [:]
    }

    /// How one machine stands.
    package struct Member: Sendable {
        package var id: String
        package var behaviour: Behaviour
        package var isConnected: Bool
        /// The newest order that it has; 0: none.
        package var generation: Int
        package var waitsForOrder: Bool
        /// What it was ordered to run, where it runs that.
        package var runs: String?
        package var staysConnected: Bool { behaviour.staysConnected }
    }

    package let tally = Tally()
    private let machines: [SimulatedMachine]
    private let loops: MultiThreadedEventLoopGroup
    private let surroundings: Surroundings

    package init(_ configuration: Configuration) throws(SimulationFault) {
        let ticket = configuration.ticket
        let seed = configuration.seed
        surroundings = try Surroundings(ticket, began: .now)
        guard let raw = Data(base64Encoded: ticket.groupKey),
            let groupKey = try? SecurityKey.PublicKey(rawRepresentation: raw)
        else { throw SimulationFault("the ticket's group key is none") }
        let count = configuration.behaviours.count
        try OpenFiles.need(UInt(count + configuration.behaviours.count { $0 == .cloned } + 200))
        let loops = MultiThreadedEventLoopGroup(numberOfThreads: max(1, configuration.threads))
        self.loops = loops
        let common = MachineModel.Common(
            ticket: ticket, groupKey: groupKey, isSecure: BrokerAddress(ticket.broker)?.isSecure ?? false,
            epoch: Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)))
        var dice = Dice(seed: seed ^ 0xf1ee7)
        // Another run with the same seed in the same group is of other machines.
        let run = String(UInt32.random(in: 0x10_0000...0xff_ffff), radix: 16)
        machines = configuration.behaviours.enumerated().map { [surroundings, tally] index, behaviour in
            let starting =
                configuration.ramp == .zero
                ? Duration.zero : dice.span(0...Int(clamping: configuration.ramp.milliseconds))
            let model = MachineModel(
                "\(ticket.group.prefix(40))-x\(run)\(String(0x10000 + index, radix: 16))", common: common,
                behaviour: behaviour, seed: seed &+ UInt64(index) &* 0x9e37_79b9, starting: starting)
            return SimulatedMachine(model, on: loops.next(), in: surroundings, tally: tally)
        }
    }

    /// All of them come: each connects, registers, and does what it is told from then on.
    package func start() async throws { try await each { $0.start() } }

    package var now: Duration { surroundings.now }

    package func standing() async throws -> Standing {
        var standing = Standing()
        for (registered, connected, settled, digest) in try await each({ machine in
            let model = machine.model
            return (
                model.order != nil, model.isConnected, model.isSettled,
                model.stage == .running ? model.software?.digest : nil
            )
        }) {
            standing.machines += 1
            standing.registered += registered ? 1 : 0
            standing.connected += connected ? 1 : 0
            standing.settled += settled ? 1 : 0
            if let digest { standing.running[digest, default: 0] += 1 }
        }
        return standing
    }

    package func members() async throws -> [Member] {
        try await each { machine in
            let model = machine.model
            return Member(
                id: model.paper.id, behaviour: model.behaviour, isConnected: model.isConnected,
                generation: model.order?.generation ?? 0, waitsForOrder: model.driftedAt != nil,
                runs: model.stage == .running ? model.software?.digest : nil)
        }
    }

    /// One after the other, from this one on, until one is found that can be asked: it says that it runs something else.
    package func drift(from index: Int) async throws -> Int? {
        for offset in machines.indices {
            let index = (index + offset) % machines.count
            let machine = machines[index]
            if try await machine.loop.submit({ machine.drift() }).get() { return index }
        }
        return nil
    }

    /// Whoever comes to run something else than `before` from now on has switched.
    package func noteSwitch(from before: String) { tally.switches(from: before, at: surroundings.now) }

    /// All at once: cut off without a word, and back within so long.
    package func rebootAll(within span: TimeSpan = .seconds(5)) async throws {
        let most = Int(clamping: max(span.milliseconds, 1))
        try await each { $0.reboot(after: .milliseconds(Int.random(in: min(500, most)...most))) }
    }

    /// One of them, without a word; it is back after so long.
    package func cut(_ index: Int, for pause: Duration) async throws {
        let machine = machines[index]
        try await machine.loop.submit { machine.reboot(after: pause) }.get()
    }

    /// They say their last word and leave; the fleet is of no use afterwards.
    package func end() async throws {
        try await each { $0.end() }
        try await loops.shutdownGracefully()
    }

    @discardableResult
    private func each<Answer: Sendable>(_ body: @escaping @Sendable (SimulatedMachine) -> Answer) async throws
        -> [Answer]
    {
        var answers: [Answer] = []
        answers.reserveCapacity(machines.count)
        // In pieces, so that nobody waits long for the loop.
        for start in stride(from: 0, to: machines.count, by: 250) {
            let piece = machines[start..<min(start + 250, machines.count)]
            for (loop, group) in Dictionary(grouping: piece, by: { ObjectIdentifier($0.loop) }).values.compactMap({
                group in group.first.map { ($0.loop, group) }
            }) {
                answers += try await loop.submit { group.map(body) }.get()
            }
        }
        return answers
    }
}
