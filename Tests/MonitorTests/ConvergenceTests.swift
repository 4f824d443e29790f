import Fleet
import Monitor
import Testing

@Suite("The whole site, over virtual time")
struct ConvergenceTests {
    static let platforms: [Platform] = [.local, .none]

    /// A converged site.
    static func site(_ seed: UInt64, _ platform: Platform, count: Int = 4) -> FleetSimulator {
        var site = FleetSimulator(seed: seed, platform: platform, count: count)
        if platform == .none { for _ in 0..<count { site.invite() } }
        site.run(for: .minutes(2))
        return site
    }

    /// Ten minutes of everything that can go wrong.
    static func troubled(_ seed: UInt64, _ platform: Platform) -> FleetSimulator {
        var site = site(seed, platform)
        site.inTrouble = true
        site.later(.seconds(1), .trouble)
        site.run(for: .minutes(10))
        return site
    }

    /// What is not as the record says; nil: everything is.
    static func missing(_ site: FleetSimulator, count: Int) -> String? {
        let phase = site.monitor.groupStatus(FleetSimulator.name)?.phase
        guard phase == .converged else { return "the group is \(phase?.rawValue ?? "gone")" }
        let rows = site.monitor.machines(of: FleetSimulator.name)
        let verified = rows.filter(\.verified)
        guard verified.map(\.index) == Array(0..<count) else { return "verified are \(verified.map(\.id))" }
        let record = site.groupRow
        for machine in verified {
            let real = site.machines[machine.id]
            guard real?.isUp == true, real?.software?.digest == record.digest, real?.software?.health == .passing else {
                return "\(machine.id) is counted as verified and is \(String(describing: real))"
            }
        }
        let surplus = rows.filter { !$0.verified }
        if site.platform == .none {
            let runs = surplus.filter { $0.awaySince == nil && site.machines[$0.id]?.software != nil }
            return runs.isEmpty ? nil : "beyond the count there run \(runs.map(\.id))"
        }
        guard surplus.isEmpty else { return "left over are the records of \(surplus.map(\.id))" }
        let real = site.machines.keys.sorted()
        return real == rows.map(\.id).sorted() ? nil : "the platform has \(real)"
    }

    @Test("Without trouble a group converges within seconds", arguments: platforms)
    func converges(_ platform: Platform) {
        let site = Self.site(1, platform)
        #expect(Self.missing(site, count: 4) == nil)
        #expect(site.log.events(.groupConverged).count == 1)
    }

    @Test("After any trouble the group comes to what its record says", arguments: 0..<60, platforms)
    func convergesAfterTrouble(_ seed: Int, _ platform: Platform) {
        var site = Self.troubled(UInt64(seed), platform)
        let count = 1 + seed % 4
        site.calm(count: count)
        // Longer than the longest wait that any rule or pause has.
        for _ in 0..<180 where Self.missing(site, count: count) != nil { site.run(for: .seconds(10)) }
        #expect(Self.missing(site, count: count) == nil, "seed \(seed) on \(platform)")

        // And it stays so, once those who were away longest have come back to be told that they have no place.
        site.run(for: .minutes(2))
        site.log = []
        site.run(for: .minutes(10))
        #expect(site.log.orders.isEmpty && site.log.launches.isEmpty && site.log.releases.isEmpty)
        #expect(Self.missing(site, count: count) == nil)
    }

    @Test("No restart of the manager, repeated or old message restarts healthy software", arguments: 0..<20, platforms)
    func leavesHealthyAlone(_ seed: Int, _ platform: Platform) {
        var site = Self.site(UInt64(seed), platform)
        let generations = site.monitor.machines(of: FleetSimulator.name).map(\.order?.generation)
        let heard = site.monitor.machines(of: FleetSimulator.name).compactMap(\.status)
        site.log = []
        for _ in 0..<40 {
            switch Int.random(in: 0..<4, using: &site.generator) {
            case 0: site.restartManager()
            case 1: site.tell(.connected)
            case 2:
                for machine in site.monitor.machines(of: FleetSimulator.name) {
                    if let status = machine.status { site.tell(.status(status)) }
                    let session = machine.session - 1
                    site.tell(
                        .status(
                            Status(
                                group: FleetSimulator.name, machine: machine.id, session: session, sequence: 0,
                                at: site.now,
                                state: .away)))
                }
            default: for status in heard { site.tell(.status(status)) }
            }
            site.run(for: site.between(0, 40_000))
        }
        #expect(site.monitor.machines(of: FleetSimulator.name).map(\.order?.generation) == generations)
        #expect(site.log.events.isEmpty)
        #expect(site.log.launches.isEmpty && site.log.releases.isEmpty)
        #expect(site.monitor.groupStatus(FleetSimulator.name)?.phase == .converged)
    }

    @Test("The same events at the same instants give the same effects", arguments: 100..<110)
    func deterministic(_ seed: Int) {
        let platform = Self.platforms[seed % 2]
        let (first, second) = (Self.troubled(UInt64(seed), platform), Self.troubled(UInt64(seed), platform))
        #expect(first.log.count > 100)
        #expect(first.log == second.log)
        #expect(first.monitor.nextDeadline == second.monitor.nextDeadline)
    }
}
