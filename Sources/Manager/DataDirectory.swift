import Fleet
import Foundation
import Glibc
import Logging
import OperatingSystem
import Records

/// What lies in the data directory, and what of it is worth nothing any more.
struct DataDirectory: Sendable {
    let configuration: ManagerConfiguration
    let logger: Logger

    /// Each says that there was a fleet: beside one of them no new database is begun. `ca` is not among them, since the user's own authority
    /// is put there before the first start.
    static let traces = ["master.key", "admin.token", "bundles", "machines", "driver-machines"]

    func prepare() throws {
        let private700: [FileAttributeKey: Any] = [.posixPermissions: 0o700]
        for directory in [
            configuration.dataDirectory, configuration.bundleDirectory, configuration.uploadDirectory,
            configuration.path("machines"),
        ] {
            do {
                try FileManager.default.createDirectory(
                    atPath: directory, withIntermediateDirectories: true, attributes: private700)
            } catch {
                throw StartError("the data directory \(directory) can't be made: \(error.localizedDescription)")
            }
        }
        // A broker that runs as somebody else passes through to its own files.
        try close(configuration.dataDirectory, to: 0o066)
        for name in Self.secrets { try close(configuration.path(name), to: 0o077) }
        try renameOlderBundles()
    }

    private func renameOlderBundles() throws {
        let older = ManagerConfiguration.olderBundleSuffix
        for name in try FileManager.default.contentsOfDirectory(atPath: configuration.bundleDirectory)
        where name.hasSuffix(older) {
            let (from, to) = (
                "\(configuration.bundleDirectory)/\(name)", configuration.bundle(String(name.dropLast(older.count)))
            )
            guard rename(from, to) == 0 else {
                throw StartError("\(from) can't be renamed to \(to): \(String(cString: strerror(errno)))")
            }
        }
    }

    /// What nobody else on this host may read; `broker` is not among them, since the broker reads it.
    static let secrets = [
        "master.key", "master.key.next", "admin.token", "server.json", "trunkline.sqlite", "trunkline.sqlite-wal",
        "trunkline.sqlite-shm", "ca", "ca/ca.key", "ca/next.key", "ca/previous.key", "ca/api.key", "bundles", "uploads",
        "machines",
    ]

    /// Mends what others can get at, put back from a backup for example, and says so; what was open may have been read.
    private func close(_ path: String, to others: mode_t) throws {
        guard let status = FileStatus(following: path), status.permissions & others != 0 else { return }
        let mode = String(status.permissions, radix: 8)
        guard chmod(path, status.permissions & ~others) == 0 else {
            guard status.owner == geteuid() else {
                throw StartError(
                    "\(path) can't be written: it belongs to user \(status.owner), and the manager runs as \(geteuid()); check to whom it is to belong, or start the manager as that user"
                )
            }
            throw StartError(
                "\(path) has the mode \(mode), so that others can get at it, and that can't be mended (\(String(cString: strerror(errno)))); make it its owner's alone"
            )
        }
        logger.warning(
            "others could get at this, and cannot any more; change what is secret in it if somebody else is on this host",
            metadata: ["path": "\(path)", "mode": "\(mode)"])
    }

    /// Opens the records, or says what is wrong with them and what to do; from then on no other manager works here.
    func openRecords() throws -> Records {
        try Records.open(at: configuration.path("trunkline.sqlite"), traces: Self.traces)
    }

    /// Says what was found at opening, in the log and in the history.
    func report(_ records: Records) throws {
        let now = Timestamp.wall
        for remark in records.opening.remarks {
            logger.warning("\(remark)")
            let event = EventEntry(at: now, kind: .recordsRestored, actor: "manager", message: remark)
            _ = try records.commit([
                .event(event),
                .audit(
                    AuditEntry(
                        at: now, who: "manager", from: "manager", what: event.kind.rawValue, subject: "records",
                        after: AuditDetail.text(["remark": remark]))),
            ])
        }
    }

    /// Removes what a killed manager left: uploads on their way, and bundles that came to no commit or whose removal was committed.
    ///
    /// - Parameter age: what is younger stays; it may be on its way to a commit.
    func sweep(_ records: Records, olderThan age: TimeSpan? = nil) throws {
        let known = try records.bundleDigests()
        if age == nil {
            for name in try FileManager.default.contentsOfDirectory(atPath: configuration.uploadDirectory) {
                try? FileManager.default.removeItem(atPath: "\(configuration.uploadDirectory)/\(name)")
            }
        }
        // Records that were put back may not know of a bundle that the next backup does: nothing goes until a start finds nothing amiss.
        guard records.opening.remarks.isEmpty else { return }
        for name in try FileManager.default.contentsOfDirectory(atPath: configuration.bundleDirectory) {
            let path = "\(configuration.bundleDirectory)/\(name)"
            guard let digest = name.split(separator: ".").first, !known.contains(String(digest)) else { continue }
            if let age {
                let attributes = try? FileManager.default.attributesOfItem(atPath: path)
                guard let changed = attributes?[.modificationDate] as? Date,
                    -changed.timeIntervalSinceNow * 1000 > Double(age.milliseconds)
                else { continue }
            }
            logger.notice("a bundle that nothing names is removed", metadata: ["file": "\(name)"])
            try? FileManager.default.removeItem(atPath: path)
        }
    }
}
