import Fleet
import Monitor
import TestSupport

/// What goes wrong, and what users change meanwhile; each with all that it needs, so that a story can be told again, and with less.
enum Trouble: Hashable {
    /// `kill -9` of the manager at its next step: before its commit, or after it and so many effects.
    case killManager(effects: Int?)
    case failCommits(Int)
    case managerCut(seconds: Int64)
    case managerSleeps(seconds: Int64)
    case future(hours: Int64)
    case backUp
    case restoreRecords
    /// Broker and all: nobody hears anybody.
    case brokerAway(seconds: Int64, keepsRetained: Bool)
    /// The n-th and as many more lose their way to the broker; their wills come at once, or never.
    case cut(first: Int, many: Int, seconds: Int64, wills: Bool)
    /// Statuses get lost with this probability.
    case lose(percent: Int, seconds: Int64)
    case repeatStatuses(seconds: Int64)
    case killAgent(Int, keepsSoftware: Bool, back: Int64?, said: Bool)
    case freeze(Int, seconds: Int64, will: Bool)
    case drift(Int)
    case fail(Int)
    case failHealth(Int)
    case snapshot(Int)
    case restoreAgent(Int)
    case loseSession(Int)
    case clone(Int, beats: Int)
    case platformSilent(seconds: Int64)
    case platformSpeaks
    case launches(FleetSimulator.LaunchMood)
    case restartMachine(Int)
    case replaceMachine(Int)
    case restartGroup
    case count(Int)
    case software(String)
    case badSoftware
    case environment(Int)
    case heartbeat(Int64)
    case pause
    case stop
    case invite
    case driverBack
}

/// Twenty-five troubles in ten minutes.
struct Story: CustomStringConvertible {
    var seed: UInt64
    var platform: Platform
    var troubles: [(at: TimeSpan, trouble: Trouble)]
    /// Which of those that the seed makes.
    var kept: [Int]

    init(seed: UInt64, platform: Platform) {
        self.seed = seed
        self.platform = platform
        var generator = SeededGenerator(seed: seed &* 7919 &+ 17)
        troubles = (0..<25).map { _ in
            (.milliseconds(.random(in: 0...600_000, using: &generator)), Trouble.random(&generator, platform))
        }.sorted { $0.at < $1.at }
        kept = Array(troubles.indices)
    }

    func keeping(_ indices: [Int]) -> Story {
        var story = self
        story.kept = indices
        return story
    }

    var description: String {
        let lines = kept.map { "  \($0): after \(troubles[$0].at) \(troubles[$0].trouble)" }
        return
            "TRUNKLINE_STORY=\(seed):\(platform):\(kept.map { "\($0)" }.joined(separator: ",")) make simulate\n"
            + lines.joined(separator: "\n")
    }
}

extension Trouble {
    static func random(_ generator: inout SeededGenerator, _ platform: Platform) -> Trouble {
        func number(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &generator) }
        func seconds(_ longest: Int64 = 300) -> Int64 { .random(in: 0...longest, using: &generator) }
        func chance() -> Bool { .random(using: &generator) }
        switch number(0...42) {
        case 0: return .killManager(effects: nil)
        case 1, 2: return .killManager(effects: number(0...6))
        case 3: return .failCommits(number(1...8))
        case 4, 5: return .managerCut(seconds: seconds())
        case 6: return .managerSleeps(seconds: seconds())
        case 7: return .future(hours: [1, 24, 8760][number(0...2)])
        case 8: return .backUp
        case 9: return .restoreRecords
        case 10, 11: return .brokerAway(seconds: seconds(), keepsRetained: chance())
        case 12, 13, 14: return .cut(first: number(0...5), many: number(1...6), seconds: seconds(), wills: chance())
        case 15: return .lose(percent: [10, 50, 100][number(0...2)], seconds: seconds())
        case 16: return .repeatStatuses(seconds: seconds())
        case 17, 18:
            return .killAgent(
                number(0...5), keepsSoftware: chance(), back: chance() ? seconds(60) : nil, said: chance())
        case 19: return .freeze(number(0...5), seconds: seconds(), will: chance())
        case 20: return .drift(number(0...5))
        case 21: return .fail(number(0...5))
        case 22: return .failHealth(number(0...5))
        case 23: return .snapshot(number(0...5))
        case 24: return .restoreAgent(number(0...5))
        case 25: return .loseSession(number(0...5))
        case 26: return .clone(number(0...5), beats: number(1...20))
        case 27: return .platformSilent(seconds: seconds())
        case 28: return .launches(.fails)
        case 29: return .launches(.liesAndComesUp(after: .seconds(seconds(100))))
        case 30: return .launches(.unsure(comesUp: chance()))
        case 31: return chance() ? .launches(.dead) : .launches(.slow(.seconds(seconds(90))))
        case 32: return .restartMachine(number(0...5))
        case 33: return platform == .none ? .invite : .replaceMachine(number(0...5))
        case 34: return .restartGroup
        case 35: return .count(number(0...6))
        case 36: return .software(["a", "b", "c"][number(0...2)])
        case 37: return .environment(number(1...9))
        case 38: return chance() ? .heartbeat(Int64(number(2...15))) : .driverBack
        case 39: return .pause
        case 40: return .stop
        default: return .badSoftware
        }
    }
}

extension FleetSimulator {
    /// The n-th machine, if it is up.
    private func victim(_ number: Int) -> String? {
        let ids = machines.keys.sorted()
        guard !ids.isEmpty else { return nil }
        let id = ids[number % ids.count]
        return machines[id]?.isUp == true && machines[id]?.isFrozen == false ? id : nil
    }

    /// From now on it can't be heard, by no fault of the manager.
    private mutating func miss(_ id: String) {
        let since = machines[id]?.unreachableSince ?? now
        machines[id]?.unreachableSince = since
    }

    mutating func make(_ trouble: Trouble) {
        switch trouble {
        case .killManager(let effects): kill = effects.map { .afterCommit(effects: $0) } ?? .beforeCommit
        case .failCommits(let count): failingCommits = count
        case .managerCut(let seconds): breakManager(for: .seconds(seconds))
        case .managerSleeps(let seconds): asleepUntil = now + .seconds(seconds)
        case .future(let hours): shiftInstants(by: .hours(hours))
        case .backUp:
            backup = Backup(
                group: groupRow, rows: rows, keys: keys, acts: acts, releases: releases, rollout: rollout)
        case .restoreRecords: if let backup { restore(backup) }
        case .brokerAway(let seconds, let keepsRetained):
            if !keepsRetained { (statuses, orders) = ([:], [:]) }
            breakManager(for: .seconds(seconds))
            for id in machines.keys.sorted() { cutOff(id, for: .seconds(seconds) + between(0, 3000)) }
        case .cut(let first, let many, let seconds, let wills):
            cut(first, many, .seconds(seconds), wills: wills)
        case .lose(let percent, let seconds):
            losses = Double(percent) / 100
            lossUntil = now + .seconds(seconds)
            guard percent >= 50 else { return }
            for id in machines.keys.sorted() { miss(id) }
        case .repeatStatuses(let seconds): repeatUntil = now + .seconds(seconds)
        case .platformSilent(let seconds):
            isPlatformSilent = true
            later(.seconds(seconds), .trouble(.platformSpeaks))
        case .platformSpeaks: isPlatformSilent = false
        case .launches(let mood): launchMoods.append(mood)
        case .driverBack: tell(.driverBack(platform))
        case .invite: if platform == .none { invite() }
        case .killAgent, .freeze, .drift, .fail, .failHealth, .snapshot, .restoreAgent, .loseSession, .clone:
            makeOnMachine(trouble)
        case .restartMachine, .replaceMachine, .restartGroup, .count, .software, .badSoftware, .environment, .heartbeat,
            .pause, .stop:
            makeUser(trouble)
        }
    }

    private mutating func cut(_ first: Int, _ many: Int, _ span: TimeSpan, wills: Bool) {
        let ids = machines.keys.sorted()
        guard !ids.isEmpty else { return }
        for number in 0..<min(many, ids.count) {
            let id = ids[(first + number) % ids.count]
            if wills, machines[id]?.isCut == false { sayWill(of: id) }
            miss(id)
            cutOff(id, for: span + between(0, 2000))
        }
    }

    private mutating func makeOnMachine(_ trouble: Trouble) {
        switch trouble {
        case .killAgent(let number, let keepsSoftware, let back, let said):
            guard let id = victim(number) else { return }
            sayWill(of: id)
            machines[id]?.isUp = false
            machines[id]?.downAt = now
            machines[id]?.epoch += 1
            miss(id)
            mayRestart.insert(id)
            if !keepsSoftware { machines[id]?.software = nil }
            if let back {
                later(.seconds(back), .wake(id))
            } else if platform == .none {
                later(.seconds(90), .wake(id))
            }
            if said, platform != .none, back == nil { later(between(1, 500), .died(id)) }
        case .freeze(let number, let seconds, let will):
            guard let id = victim(number) else { return }
            if will { sayWill(of: id) }
            machines[id]?.isFrozen = true
            miss(id)
            later(.seconds(seconds), .wake(id))
        case .drift(let number):
            guard let id = victim(number), machines[id]?.software != nil else { return }
            mayRestart.insert(id)
            machines[id]?.software?.digest = Samples.digest("f")
            say(id)
        case .fail(let number):
            guard let id = victim(number), machines[id]?.state == .running else { return }
            mayRestart.insert(id)
            machines[id]?.state = .failed
            machines[id]?.software = nil
            say(id)
        case .failHealth(let number):
            guard let id = victim(number), machines[id]?.software != nil else { return }
            mayRestart.insert(id)
            machines[id]?.software?.health = .failing
            say(id)
        case .snapshot(let number): if let id = victim(number) { snapshots[id] = machines[id] }
        case .restoreAgent(let number):
            guard let id = victim(number), var old = snapshots[id], old.accepted > 0 else { return }
            mayRestart.insert(id)
            if let real = machines[id] {
                (old.cutUntil, old.epoch, old.beat) = (real.cutUntil, real.epoch + 1, real.beat + 1)
                (old.unreachableSince, old.saidAt) = (real.unreachableSince, real.saidAt)
            }
            old.isFrozen = false
            machines[id] = old
            boot(id)
        case .loseSession(let number):
            guard let id = victim(number) else { return }
            machines[id]?.session = 0
            boot(id)
        case .clone(let number, let beats):
            guard let id = victim(number), machines[id]?.accepted ?? 0 > 0 else { return }
            snapshots[id] = machines[id]
            snapshots[id]?.holder = "c10e"
            later(.seconds(1), .cloneSpeaks(id, left: beats))
        default: return
        }
    }

    private mutating func makeUser(_ trouble: Trouble) {
        let ids = rows.keys.sorted()
        switch trouble {
        case .restartMachine(let number):
            guard !ids.isEmpty else { return }
            mayRestart.insert(ids[number % ids.count])
            tell(.restartMachine(ids[number % ids.count]))
        case .replaceMachine(let number):
            guard !ids.isEmpty, platform != .none else { return }
            mayRelease.insert(ids[number % ids.count])
            tell(.replaceMachine(ids[number % ids.count]))
        case .restartGroup:
            for id in ids { askedAnew[id, default: 0] += 1 }
            tell(.restartGroup(Self.name))
        case .count(let count): change(.revised) { $0.definition.machines.count = count }
        case .software(let letter): change(.revised) { $0 = $0.asking(for: Samples.digest(Character(letter))) }
        case .badSoftware: change(.revised) { $0 = $0.asking(for: Self.bad) }
        case .environment(let port):
            change(.revised) {
                $0.definition.environment = [EnvironmentEntry(name: "PORT", value: .value(.number(Double(port))))]
            }
        case .heartbeat(let seconds): change(.revised) { $0.definition.heartbeat = .seconds(seconds) }
        case .pause:
            let pauses = !groupRow.paused
            change(pauses ? .paused : .resumed) { $0.paused = pauses }
        case .stop:
            let stops = groupRow.run == .running
            change(stops ? .stopped : .started) { $0.run = stops ? .stopped : .running }
        default: return
        }
    }

    /// The last word of the user, and nothing breaks any more.
    mutating func calm(count: Int) {
        inTrouble = false
        kill = nil
        failingCommits = 0
        (lossUntil, repeatUntil) = (now, now)
        isPlatformSilent = false
        launchMoods = []
        asleepUntil = nil
        queue.removeAll {
            if case .trouble = $0.what { true } else if case .cloneSpeaks = $0.what { true } else { false }
        }
        retryCommit()
        if managerBreak != nil { connectManager() }
        change(.revised) { record in
            if record.digest == Self.bad { record = record.asking(for: Samples.first) }
            record.definition.machines.count = count
            // No record is accepted that keeps all of its machines in service.
            let keep = record.definition.rollout.drain?.keep ?? 0
            record.definition.rollout.drain?.keep = min(keep, max(0, count - 1))
        }
        if groupRow.paused { change(.resumed) { $0.paused = false } }
        if groupRow.run != .running { change(.started) { $0.run = .running } }
        for id in machines.keys.sorted() {
            if machines[id]?.isCut == true {
                machines[id]?.cutUntil = now
                later(between(1, 5000), .reconnect(id))
            }
            if machines[id]?.isFrozen == true { later(between(1, 5000), .wake(id)) }
            if platform == .none, machines[id]?.isUp == false { later(between(1, 5000), .wake(id)) }
        }
        while platform == .none, keys.count < count { invite(); run(for: .seconds(5)) }
    }
}
