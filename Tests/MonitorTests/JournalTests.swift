import Fleet
import Foundation
import Monitor
import Synchronization
import Testing
import TestSupport

@testable import Journal

/// A journal in a directory of its own, with what it reported.
private final class Shelf: Sendable {
    private let place = FileManager.default.temporaryDirectory.appending(path: "journal-\(UUID().uuidString)")
    let journal: Journal
    let reports: Reports

    final class Reports: Sendable {
        let lines = Mutex<[String]>([])
    }

    init(limit: Int = 1 << 30, age: TimeSpan = .hours(24 * 7)) throws {
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        let reports = Reports()
        self.reports = reports
        journal = Journal(directory: place.appending(path: "journal").path, limit: limit, age: age) { line in
            reports.lines.withLock { $0.append(line) }
        }
    }

    deinit { try? FileManager.default.removeItem(at: place) }

    /// As the control room does: what happened, then a snapshot where one is wanted.
    func tell(_ happenings: some Sequence<Happening>, _ monitor: Monitor, at now: Timestamp) async {
        journal.take(Array(happenings), shift: .zero)
        await journal.flush()
        if journal.wantsSnapshot(of: "edge", at: now), let snapshot = monitor.snapshot(of: "edge") {
            journal.begin(snapshot, at: now, shift: .zero)
        }
        await journal.flush()
    }

    var segments: [JournalSegment] { JournalSegment.of(group: "edge", in: journal.directory) }

    func replay(asking rules: [Rule]? = nil, since: Timestamp = start, to end: Timestamp) -> Replay {
        journal.replay("edge", asking: rules, since: since, until: end, now: end)
    }
}

/// What decisions are made of.
private struct Standing: Hashable {
    var order: Order?
    var verified: Bool
    var away: Bool
    var phase: MachineRecord.Phase
    var held: [String: Timestamp]
    var assigned: Assignment?
    var drain: Drain?

    static func all(_ monitor: Monitor?) -> [String: Standing] {
        Dictionary(
            uniqueKeysWithValues: (monitor?.machines(of: "edge") ?? []).map { machine in
                (
                    machine.id,
                    Standing(
                        order: machine.wanted.order, verified: machine.judged.verified,
                        away: machine.judged.awaySince != nil,
                        phase: machine.phase, held: machine.judged.held, assigned: machine.wanted.assigned,
                        drain: machine.wanted.drain)
                )
            })
    }
}

@Suite("The journal tells what was")
struct JournalTests {
    private static func group(count: Int = 4) -> GroupRecord {
        Samples.group(
            count: count, rules: Rule.defaults,
            rollout: RolloutPolicy(batch: .count(1), settle: .seconds(5), maxFailed: 1))
    }

    @Test(
        "A replay with the rules that were in force comes to where the monitor is",
        arguments: 1...30 as ClosedRange<UInt64>)
    func law(seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        let shelf = try Shelf()
        var desk = Desk(converged: Self.group())
        await shelf.tell([], desk.monitor, at: desk.now)
        var told = desk.happenings.count
        for _ in 0..<80 {
            let id = desk.ids().randomElement(using: &generator) ?? "edge-1"
            switch Int.random(in: 0..<12, using: &generator) {
            case 0: desk.will(id)
            case 1: desk.pass(.milliseconds(.random(in: 1...90_000, using: &generator)))
            case 2: desk.user("edge", .revised) { $0.definition.machines.count = .random(in: 2...6, using: &generator) }
            case 3:
                let digest = Samples.digest("abc".randomElement(using: &generator) ?? "a")
                let record = try #require(desk.monitor.group("edge")).asking(for: digest)
                desk.user(record, .revised)
            case 4: desk.report(id, health: .failing)
            case 5:
                desk.reconnect(id)
                desk.report(id)
            case 6: for id in desk.ids() { desk.report(id, metrics: ["calls": .random(in: 0...9, using: &generator)]) }
            default:
                desk.pass(.milliseconds(.random(in: 1...999, using: &generator)))
                desk.pass(.seconds(.random(in: 1...9, using: &generator)), hearing: desk.ids())
            }
            for machine in desk.monitor.machines(of: "edge") where machine.phase == .launching { desk.join(machine.id) }
            await shelf.tell(desk.happenings[told...], desk.monitor, at: desk.now)
            told = desk.happenings.count
        }
        let replay = shelf.replay(to: desk.now)
        #expect(Standing.all(replay.monitor) == Standing.all(desk.monitor))
        #expect(replay.monitor?.group("edge") == desk.monitor.group("edge"))
        #expect(replay.monitor?.rollout("edge") == desk.monitor.rollout("edge"))
        #expect(replay.gaps == [])
        #expect(replay.events > 20)
    }

    @Test("An earlier time is as it was then")
    func earlier() async throws {
        let shelf = try Shelf()
        var desk = Desk(converged: Self.group())
        await shelf.tell([], desk.monitor, at: desk.now)
        let told = desk.happenings.count
        desk.pass(.seconds(10), hearing: desk.ids())
        desk.report("edge-2", health: .failing)
        desk.pass(.seconds(20), hearing: desk.ids())
        let (then, explained) = (desk.now, desk.monitor.explain("edge-2", at: desk.now))
        desk.pass(.seconds(1))
        desk.report("edge-2")
        desk.pass(.minutes(10), hearing: desk.ids())
        await shelf.tell(desk.happenings[told...], desk.monitor, at: desk.now)
        let replay = shelf.replay(since: then, to: then)
        #expect(replay.monitor?.explain("edge-2", at: then) == explained)
        #expect(replay.monitor?.explain("edge-2", at: then) != desk.monitor.explain("edge-2", at: desk.now))
    }

    @Test("A heartbeat that says nothing new costs no line; metrics alone are told every 30 s")
    func sieve() async throws {
        let shelf = try Shelf()
        var desk = Desk(converged: Self.group())
        await shelf.tell([], desk.monitor, at: desk.now)
        let told = desk.happenings.count
        let size = try #require(shelf.segments.first).size
        desk.pass(.minutes(10), hearing: desk.ids())
        await shelf.tell(desk.happenings[told...], desk.monitor, at: desk.now)
        let (quiet, _) = try #require(shelf.segments.first).lines()
        // The first of each machine, since nobody knows what it said before.
        #expect(quiet.count == 1 + 4)
        #expect(try #require(shelf.segments.first).size > size)
        let next = desk.happenings.count
        for calls in 0..<60 {
            desk.report("edge-1", metrics: ["calls": Double(calls)])
            desk.pass(.seconds(1))
        }
        await shelf.tell(desk.happenings[next...], desk.monitor, at: desk.now)
        let lines = try #require(shelf.segments.first).lines().lines.dropFirst(quiet.count)
        let metrics = lines.count { if case .metrics("edge-1", _, _, _) = $0.what { true } else { false } }
        #expect(metrics == 2)
    }

    @Test("What was torn off at the end, damaged or missing is said, and the next snapshot leads on")
    func damage() async throws {
        let shelf = try Shelf()
        var desk = Desk(converged: Self.group())
        await shelf.tell([], desk.monitor, at: desk.now)
        var told = desk.happenings.count
        // Two segments: the first is closed by its age.
        for _ in 0..<2 {
            desk.pass(.minutes(61), hearing: desk.ids())
            desk.report("edge-3", health: .failing)
            desk.report("edge-3")
            await shelf.tell(desk.happenings[told...], desk.monitor, at: desk.now)
            told = desk.happenings.count
        }
        let segments = shelf.segments
        #expect(segments.count == 3)
        let whole = shelf.replay(to: desk.now)
        #expect(whole.gaps == [])
        let last = try #require(segments.last).path
        let torn = try FileHandle(forWritingTo: URL(fileURLWithPath: last))
        try torn.seekToEnd()
        try torn.write(contentsOf: Data("{\"at\":18".utf8))
        #expect(Standing.all(shelf.replay(to: desk.now).monitor) == Standing.all(whole.monitor))
        // A line in the middle that is no JSON.
        let first = try #require(segments.first).path
        var text = try String(contentsOfFile: first, encoding: .utf8)
        text = text.replacingOccurrences(of: "\"health\":\"failing\"", with: "\"health\":")
        try text.write(toFile: first, atomically: true, encoding: .utf8)
        let damaged = shelf.replay(to: desk.now)
        #expect(damaged.gaps.count == 1)
        #expect(Standing.all(damaged.monitor) == Standing.all(whole.monitor))
    }

    @Test("What the disk refuses is said once, and what is missing then is a gap")
    func refused() async throws {
        let shelf = try Shelf()
        var desk = Desk(converged: Self.group())
        let path = shelf.journal.directory
        // A file where the directory should be.
        try Data().write(to: URL(fileURLWithPath: path))
        await shelf.tell([], desk.monitor, at: desk.now)
        #expect(shelf.reports.lines.withLock(\.count) == 1)
        #expect(!shelf.journal.wantsSnapshot(of: "edge", at: desk.now), "not at each burst")
        try FileManager.default.removeItem(atPath: path)
        desk.pass(.minutes(1), hearing: desk.ids())
        await shelf.tell([], desk.monitor, at: desk.now)
        #expect(shelf.reports.lines.withLock(\.count) == 2)
        #expect(Standing.all(shelf.replay(to: desk.now).monitor) == Standing.all(desk.monitor))
    }

    @Test("It takes no more room than it is given: the oldest goes first, and what is too old")
    func room() async throws {
        let shelf = try Shelf(limit: 20_000)
        var desk = Desk(converged: Self.group())
        await shelf.tell([], desk.monitor, at: desk.now)
        for _ in 0..<12 {
            let told = desk.happenings.count
            desk.pass(.minutes(61), hearing: desk.ids())
            await shelf.tell(desk.happenings[told...], desk.monitor, at: desk.now)
        }
        let segments = shelf.segments
        #expect(segments.dropLast().reduce(0) { $0 + $1.size } <= 20_000)
        #expect(segments.count > 1)
        #expect(segments.last?.began == desk.now)
        #expect(shelf.replay(since: start, to: desk.now).began == segments.first?.began)
    }

    @Test(
        "What comes before a group's first snapshot is in it, however far the time of day is behind or ahead",
        arguments: [-1, 0, 1])
    func first(hours: Int64) async throws {
        let shelf = try Shelf()
        let desk = Desk(converged: Self.group())
        let snapshot = try #require(desk.monitor.snapshot(of: "edge"))
        let (journal, shift) = (shelf.journal, TimeSpan.hours(hours))
        journal.take(desk.happenings, shift: shift)
        await journal.flush()
        journal.begin(snapshot, at: desk.now, shift: shift)
        await journal.flush()
        let lines = try #require(shelf.segments.first).lines().lines
        #expect(lines.count == 1)
        let replay = journal.replay("edge", asking: nil, since: start, until: nil, now: desk.now)
        #expect(Standing.all(replay.monitor) == Standing.all(desk.monitor))
        #expect(replay.began == desk.now + shift)
        #expect(replay.gaps == [] && replay.lost == nil)
    }

    @Test("A full segment asks for another once, whatever is still to be written to it")
    func askedOnce() async throws {
        let shelf = try Shelf()
        var desk = Desk(converged: Self.group())
        await shelf.tell([], desk.monitor, at: desk.now)
        let told = desk.happenings.count
        desk.pass(.minutes(61), hearing: desk.ids())
        let (journal, late) = (shelf.journal, Array(desk.happenings[told...]))
        journal.take(late, shift: .zero)
        await journal.flush()
        #expect(journal.wantsSnapshot(of: "edge", at: desk.now))
        journal.take(Array(late.suffix(10)), shift: .zero)
        journal.begin(try #require(desk.monitor.snapshot(of: "edge")), at: desk.now, shift: .zero)
        await journal.flush()
        #expect(!journal.wantsSnapshot(of: "edge", at: desk.now))
        #expect(shelf.segments.count == 2)
    }

    @Test("A snapshot of many machines is written in lines of a few, and read as one")
    func manyMachines() async throws {
        let shelf = try Shelf()
        let desk = Desk(converged: Self.group(count: 450))
        await shelf.tell([], desk.monitor, at: desk.now)
        let segment = try #require(shelf.segments.first)
        let text = try String(contentsOfFile: segment.path, encoding: .utf8)
        #expect(text.split(separator: "\n").count == 3)
        let (lines, isWhole) = segment.lines()
        #expect(lines.count == 1 && isWhole)
        let replay = shelf.replay(to: desk.now)
        #expect(Standing.all(replay.monitor) == Standing.all(desk.monitor))
        // Torn off before its end there is none.
        try text.dropLast(10).write(toFile: segment.path, atomically: true, encoding: .utf8)
        #expect(segment.lines().lines.isEmpty)
        #expect(shelf.replay(to: desk.now).monitor == nil)
    }

    @Test("Another segment is due after twice its snapshot, where that is more than a segment otherwise has")
    func room() throws {
        let shelf = try Shelf()
        for (count, isMore) in [(4, false), (2000, true)] {
            let desk = Desk(converged: Self.group(count: count))
            var pen = try Pen(in: shelf.journal.directory, group: "edge", wall: start + .seconds(Int64(count)))
            try pen.begin(try #require(desk.monitor.snapshot(of: "edge")), at: desk.now, .zero, goesOn: false)
            let size = try #require(FileManager.default.attributesOfItem(atPath: pen.path)[.size] as? Int)
            #expect(pen.room == (isMore ? 2 * size : Journal.longestSegment))
            #expect(pen.written == 0)
        }
    }

    @Test("Only its owner can read it")
    func modes() async throws {
        let shelf = try Shelf()
        let desk = Desk(converged: Self.group())
        await shelf.tell([], desk.monitor, at: desk.now)
        let file = try FileManager.default.attributesOfItem(atPath: try #require(shelf.segments.first).path)
        #expect(file[.posixPermissions] as? Int == 0o600)
        let folder = try FileManager.default.attributesOfItem(atPath: shelf.journal.directory)
        #expect(folder[.posixPermissions] as? Int == 0o700)
    }
}
