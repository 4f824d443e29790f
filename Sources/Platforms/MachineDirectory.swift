import Fleet
import Foundation
import OperatingSystem

/// Where local machines live: a directory for each, which holds `ticket.json`, `state/`, `agent.log` and `agent.json`.
struct MachineDirectory: Sendable {
    /// Absolute and without links, so that it can be compared with what processes have in their environment.
    let root: String

    /// In the environment of every process that a local machine consists of: its directory.
    static let variable = "TRUNKLINE_LOCAL_MACHINE"

    init(_ path: String) throws(PlatformError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw PlatformError(.failed, "\(path) can't be made: \(error)")
        }
        guard let resolved = realpath(path, nil) else { throw .system("\(path) can't be read", errno) }
        defer { free(resolved) }
        root = String(cString: resolved)
    }

    func path(_ machine: String) -> String { "\(root)/\(machine)" }
    func ticket(_ machine: String) -> String { "\(root)/\(machine)/ticket.json" }
    func state(_ machine: String) -> String { "\(root)/\(machine)/state" }
    func log(_ machine: String) -> String { "\(root)/\(machine)/agent.log" }
    private func process(_ machine: String) -> String { "\(root)/\(machine)/agent.json" }

    /// As whom its software runs, if that is not the agent.
    func softwareUser(_ machine: String) -> uid_t? { SoftwareUsers().user(of: state(machine)) }

    /// Every machine that has a directory; an error where that can't be told, which is not the same as none.
    func listed() throws(PlatformError) -> Set<String> {
        do {
            return Set(try FileManager.default.contentsOfDirectory(atPath: root).filter { Name.isValid($0) })
        } catch {
            throw PlatformError(.failed, "\(root) can't be read: \(error)")
        }
    }

    /// A fresh state and the ticket; the log of an earlier start becomes `agent.log.1`.
    func prepare(_ request: LaunchRequest) throws(PlatformError) {
        let files = FileManager.default
        do {
            SoftwareUsers().giveUp(of: state(request.machine))
            ForeignTree.remove(state(request.machine))
            try? files.removeItem(atPath: process(request.machine))
            try files.createDirectory(
                atPath: path(request.machine), withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
            try files.createDirectory(
                atPath: state(request.machine), withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
            _ = rename(log(request.machine), log(request.machine) + ".1")
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            try WholeFile.write(try encoder.encode(request.ticket), to: ticket(request.machine))
        } catch let error as PlatformError {
            throw error
        } catch {
            throw PlatformError(.failed, "The directory of \(request.machine) can't be made: \(error)")
        }
    }

    func remove(_ machine: String) throws(PlatformError) {
        guard FileManager.default.fileExists(atPath: path(machine)) else { return }
        SoftwareUsers().giveUp(of: state(machine))
        // Software may have written into it.
        ForeignTree.remove(path(machine))
        guard !FileManager.default.fileExists(atPath: path(machine)) else {
            throw PlatformError(.failed, "The directory of \(machine) can't be removed: something in it can't")
        }
    }

    /// Which process is the machine's agent, so that a manager that starts again finds it.
    struct ProcessRecord: Codable, Hashable {
        var pid: Int32
        var start: UInt64
        var boot: String
    }

    func remember(_ record: ProcessRecord, of machine: String) throws(PlatformError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let bytes: Data
        do { bytes = try encoder.encode(record) } catch { throw PlatformError(.failed, "\(error)") }
        do { try WholeFile.write(bytes, to: process(machine)) } catch { throw PlatformError(.failed, "\(error)") }
    }

    func processRecord(_ machine: String) -> ProcessRecord? {
        guard let bytes = WholeFile.read(process(machine), limit: 4096) else { return nil }
        return try? JSONDecoder().decode(ProcessRecord.self, from: Data(bytes))
    }

    /// The last line that the agent wrote, for people.
    func lastLogLine(_ machine: String) -> String? {
        guard let handle = FileHandle(forReadingAtPath: log(machine)) else { return nil }
        defer { try? handle.close() }
        guard let end = try? handle.seekToEnd(), (try? handle.seek(toOffset: end > 2048 ? end - 2048 : 0)) != nil,
            let bytes = try? handle.read(upToCount: 2048),
            let line = bytes.split(separator: 10).last
        else { return nil }
        return String(decoding: line.prefix(300), as: UTF8.self)
    }
}
