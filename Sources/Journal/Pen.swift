import Fleet
import Foundation
import Monitor

/// Writes one segment.
struct Pen: Sendable {
    let path: String
    private(set) var since = Timestamp(milliseconds: 0)
    /// Bytes, the snapshot left out.
    private(set) var written = 0
    /// After so many of those another segment is due: a snapshot of many machines costs no more than half of what follows it.
    private(set) var room = Journal.longestSegment
    /// Whether another segment was asked for.
    var isDone = false
    private let group: String
    private let file: FileHandle
    private var sieve = StatusSieve()
    private var shift: TimeSpan?

    init(in directory: String, group: String, wall: Timestamp) throws {
        let folder = "\(directory)/\(group)"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        var name = wall.milliseconds
        while FileManager.default.fileExists(atPath: JournalSegment.path(folder, name)) { name += 1 }
        path = JournalSegment.path(folder, name)
        self.group = group
        guard FileManager.default.createFile(atPath: path, contents: nil, attributes: [.posixPermissions: 0o600]) else {
            throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: path])
        }
        file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    }

    mutating func begin(_ snapshot: Monitor.Snapshot, at now: Timestamp, _ shift: TimeSpan, goesOn: Bool) throws {
        written = 0
        // Bit by bit: ten thousand of them take some 20 MB.
        var last = snapshot
        while last.machines.count > Self.machinesOfLine {
            try write(JournalLine(at: now, .machines(Array(last.machines.prefix(Self.machinesOfLine)))))
            last.machines.removeFirst(Self.machinesOfLine)
        }
        try write(JournalLine(at: now, shift: shift, .snapshot(last, goesOn: goesOn)))
        room = max(Journal.longestSegment, 2 * written)
        (since, self.shift, written) = (now, shift, 0)
    }

    static let machinesOfLine = 200

    mutating func write(_ happening: Happening, _ shift: TimeSpan) throws {
        guard var line = line(for: happening) else { return }
        if self.shift != shift {
            line.shift = shift
            self.shift = shift
        }
        try write(line)
    }

    private mutating func line(for happening: Happening) -> JournalLine? {
        switch happening.event {
        case .due, .connected: return nil
        case .status(let status): return sieve.line(for: happening, status)
        case .hearing:
            // Everything counts anew from here on, and each machine's next status with it.
            sieve.forget()
            return JournalLine(at: happening.at, .event(happening.event))
        case .listed(let platform, let running, let remains, let asked):
            let prefix = "\(group)-"
            let mine = { (ids: Set<String>) in ids.filter { $0.hasPrefix(prefix) } }
            return JournalLine(
                at: happening.at,
                .event(
                    .listed(platform: platform, running: mine(running), remains: mine(remains), asked: asked)))
        default: return JournalLine(at: happening.at, .event(happening.event))
        }
    }

    mutating func write(_ line: JournalLine) throws {
        let bytes = try JSONText.bytes(of: line) + [UInt8(ascii: "\n")]
        try file.write(contentsOf: bytes)
        written += bytes.count
    }
}

/// One file of a group's journal. Its name is when it began, in milliseconds since 1970.
struct JournalSegment: Sendable {
    var path: String
    /// By the time of day.
    var began: Timestamp
    /// When it was last written.
    var ended: Timestamp
    var size: Int

    static func path(_ folder: String, _ began: Int64) -> String { "\(folder)/\(began).jsonl" }

    static func all(in directory: String) -> [JournalSegment] {
        let groups = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return groups.flatMap { of(group: $0, in: directory) }
    }

    static func of(group: String, in directory: String) -> [JournalSegment] {
        let folder = "\(directory)/\(group)"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.compactMap { name -> JournalSegment? in
            let path = "\(folder)/\(name)"
            guard name.hasSuffix(".jsonl"), let began = Int64(name.dropLast(6)),
                let attributes = try? FileManager.default.attributesOfItem(atPath: path),
                let size = attributes[.size] as? Int, let written = attributes[.modificationDate] as? Date
            else { return nil }
            return JournalSegment(
                path: path, began: Timestamp(milliseconds: began),
                ended: Timestamp(milliseconds: Int64(written.timeIntervalSince1970 * 1000)), size: size)
        }
        .sorted { $0.began < $1.began }
    }

    func delete() {
        try? FileManager.default.removeItem(atPath: path)
        // Succeeds only where it was the last one.
        rmdir((path as NSString).deletingLastPathComponent)
    }

    /// The lines that can be read, a snapshot with all its machines; `isWhole`: none of them is damaged. The last one may be torn.
    func lines() -> (lines: [JournalLine], isWhole: Bool) {
        guard let data = FileManager.default.contents(atPath: path) else { return ([], false) }
        let decoder = JSONDecoder()
        var lines: [JournalLine] = []
        var machines: [MachineRecord] = []
        var start = data.startIndex
        while start < data.endIndex {
            guard let end = data[start...].firstIndex(of: UInt8(ascii: "\n")) else { break }
            guard var line = try? decoder.decode(JournalLine.self, from: data[start..<end]) else {
                return (lines, false)
            }
            start = data.index(after: end)
            switch line.what {
            case .machines(let more):
                machines += more
                continue
            case .snapshot(var snapshot, let goesOn):
                snapshot.machines = machines + snapshot.machines
                machines = []
                line.what = .snapshot(snapshot, goesOn: goesOn)
            case .event, .metrics, .missed: break
            }
            lines.append(line)
        }
        return (lines, true)
    }
}
