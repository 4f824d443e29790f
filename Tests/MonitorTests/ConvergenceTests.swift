import Fleet
import Foundation
import Monitor
import Testing

@Suite("The whole site, over virtual time")
struct ConvergenceTests {
    static let platforms: [Platform] = [.local, .none]

    @Test("Without trouble a group converges within seconds", arguments: platforms)
    func converges(_ platform: Platform) {
        let site = Story(seed: 1, platform: platform).site()
        #expect(site.missing(4) == nil)
        #expect(site.log.events(.groupConverged).count == 1)
        #expect(site.violations.isEmpty)
    }

    @Test(
        "Whatever breaks, no healthy machine is harmed, what was accepted holds, and all comes to what the record says",
        arguments: platforms)
    func survives(_ platform: Platform) async {
        let count = ProcessInfo.processInfo.environment["TRUNKLINE_SIMULATE"].flatMap { Int($0) } ?? 300
        #expect(count > 0)
        let failed = await withTaskGroup(of: [Story].self) { group in
            // Each task has its share of the seeds: the order does not matter.
            let width = 8
            for share in 0..<width {
                group.addTask {
                    var failed: [Story] = []
                    for seed in stride(from: share, to: count / 2, by: width) {
                        let story = Story(seed: UInt64(seed), platform: platform)
                        if story.fault() != nil { failed.append(story) }
                        // Other tests wait for these threads.
                        await Task.yield()
                    }
                    return failed
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        for story in failed.sorted(by: { $0.seed < $1.seed }).prefix(3) { Self.record(story.shrunk()) }
        let seeds = failed.map(\.seed).sorted()
        #expect(seeds == [], "\(seeds.count) of \(count / 2) stories broke a law")
    }

    @Test("A story that was printed can be told again", .enabled(if: storyToTell != nil))
    func toldAgain() throws {
        let story = try #require(Self.storyToTell)
        let fault = story.fault(diary: true)
        for line in fault?.diary ?? [] { print(line) }
        if fault != nil { Self.record(story) }
        #expect(fault == nil)
    }

    /// `TRUNKLINE_STORY=seed:platform:3,5,8`
    static var storyToTell: Story? {
        let parts = ProcessInfo.processInfo.environment["TRUNKLINE_STORY"]?.split(
            separator: ":", omittingEmptySubsequences: false)
        guard let parts, parts.count == 3, let seed = UInt64(parts[0]), let platform = Platform(String(parts[1])) else {
            return nil
        }
        let story = Story(seed: seed, platform: platform)
        return story.keeping(
            parts[2].split(separator: ",").compactMap { Int($0) }.filter(story.troubles.indices.contains))
    }

    static func record(_ story: Story) {
        Issue.record("\(story.fault()?.what ?? "nothing")\n\(story)")
    }

    @Test("A law that is broken is seen: a machine that nobody asked to go is not let go unnoticed")
    func lawsSee() throws {
        var site = Story(seed: 1, platform: .local).site()
        let id = try #require(site.rows.keys.sorted().first)
        site.tell(.replaceMachine(id))
        #expect(site.violations.count == 1)
        var other = Story(seed: 1, platform: .local).site()
        other.tell(.restartMachine(id))
        other.run(for: .seconds(1))
        #expect(other.violations.count == 1)
    }

    @Test("No restart of the manager, repeated or old message restarts healthy software", arguments: 0..<20, platforms)
    func leavesHealthyAlone(_ seed: Int, _ platform: Platform) {
        var site = Story(seed: UInt64(seed), platform: platform).site()
        let generations = site.monitor.machines(of: FleetSimulator.name).map(\.wanted.order?.generation)
        let heard = site.monitor.machines(of: FleetSimulator.name).compactMap(\.reported.status)
        site.log = []
        for _ in 0..<40 {
            switch Int.random(in: 0..<4, using: &site.generator) {
            case 0: site.restartManager()
            case 1: site.tell(.connected)
            case 2:
                for machine in site.monitor.machines(of: FleetSimulator.name) {
                    if let status = machine.reported.status { site.tell(.status(status)) }
                    let session = machine.reported.session - 1
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
        #expect(site.monitor.machines(of: FleetSimulator.name).map(\.wanted.order?.generation) == generations)
        #expect(site.log.events.isEmpty)
        #expect(site.log.launches.isEmpty && site.log.releases.isEmpty)
        #expect(site.monitor.groupStatus(FleetSimulator.name)?.phase == .converged)
    }

    @Test("The same events at the same instants give the same effects", arguments: 100..<110)
    func deterministic(_ seed: Int) {
        let story = Story(seed: UInt64(seed), platform: Self.platforms[seed % 2])
        var sites = [story.site(), story.site()]
        for index in sites.indices {
            for (at, trouble) in story.troubles { sites[index].later(at, .trouble(trouble)) }
            sites[index].run(for: .minutes(10))
        }
        #expect(sites[0].log.count > 50)
        #expect(sites[0].log == sites[1].log)
        #expect(sites[0].monitor.nextDeadline == sites[1].monitor.nextDeadline)
    }
}
