package import Fleet
import Foundation
import OperatingSystem
package import Records
package import Sealing

#if canImport(Glibc)
    import Glibc
#endif

/// All that a manager must not lose, in one sealed file: the database as it was at one instant, the bundles that it names, the authorities.
/// Not in it, unless it is asked for, is the master key; and never what belongs to machines.
package enum Backup {
    /// What a backup says of itself.
    package struct Manifest: Codable, Hashable, Sendable {
        package struct File: Codable, Hashable, Sendable {
            /// In the data directory.
            package var path: String
            package var size: Int
            /// SHA-256, hex.
            package var digest: String
        }
        package var v = 1
        package var made: Timestamp
        /// Of the trunkline that wrote it.
        package var version: String
        package var database: DatabaseCopy.Facts
        package var files: [File]

        package var size: Int { files.reduce(0) { $0 + $1.size } }
        package var hasMasterKey: Bool { files.contains { $0.path == Backup.masterKey } }
    }

    static let database = "trunkline.sqlite"
    static let masterKey = "master.key"
    private static let largestManifest = 16 << 20

    // MARK: Writing

    /// Writes a backup of the data directory, also while a manager works on it, which does not notice.
    package static func write(
        of data: String, to path: String, key: SecurityKey.PublicKey, withMasterKey: Bool, at now: Timestamp
    ) throws -> Manifest {
        let file = try BackupFile.Writer(path, to: key)
        let copy = path + ".database"
        // Only its owner's, before SQLite writes into it.
        unlink(copy)
        close(open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600))
        defer { for end in ["", "-journal", "-wal", "-shm"] { unlink(copy + end) } }
        do {
            let manifest = try gather(data, copy, withMasterKey, now)
            let head = try JSONEncoder().encode(manifest.value)
            try file.write(withUnsafeBytes(of: UInt32(head.count).bigEndian) { Data($0) } + head)
            for (entry, source) in zip(manifest.value.files, manifest.sources) {
                var digest = BundleDigest()
                try source.seek(toOffset: 0)
                var left = entry.size
                while left > 0 {
                    guard let bytes = try source.read(upToCount: min(left, 1 << 20)), !bytes.isEmpty else { break }
                    digest.update(bytes)
                    try file.write(bytes)
                    left -= bytes.count
                }
                guard left == 0, digest.hex() == entry.digest else {
                    throw BackupError("\(data)/\(entry.path) changed while it was read; try again")
                }
            }
            try file.finish()
            return manifest.value
        } catch {
            file.giveUp()
            throw error
        }
    }

    /// The open files stay what they are, whatever the manager removes meanwhile.
    private static func gather(
        _ data: String, _ copy: String, _ withMasterKey: Bool, _ now: Timestamp
    ) throws -> (value: Manifest, sources: [FileHandle]) {
        var tries = 0
        while true {
            let facts = try DatabaseCopy.make(of: "\(data)/\(database)", at: copy)
            var sources =
                [(database, copy)] + facts.bundles.map { (bundle($0), present(bundle: $0, in: data)) }
            let authority = (try? FileManager.default.contentsOfDirectory(atPath: "\(data)/ca")) ?? []
            sources += authority.sorted().filter { isKept("ca/\($0)") }.map { ("ca/\($0)", "\(data)/ca/\($0)") }
            if withMasterKey { sources.append((masterKey, "\(data)/\(masterKey)")) }
            var manifest = Manifest(made: now, version: Version.text, database: facts, files: [])
            var handles: [FileHandle] = []
            var missing: String?
            for (name, source) in sources {
                guard let handle = FileHandle(forReadingAtPath: source) else {
                    missing = source
                    break
                }
                let digest = try BundleDigest.hex(ofFile: source)
                guard !name.hasPrefix("bundles/") || name == bundle(digest) else {
                    throw BackupError("\(source) is damaged: push that software again, then take the backup")
                }
                manifest.files.append(.init(path: name, size: Int(try handle.seekToEnd()), digest: digest))
                handles.append(handle)
            }
            guard let missing else { return (manifest, handles) }
            tries += 1
            // Software that was removed since the copy was made is not in the next one.
            guard tries < 3, missing.hasPrefix("\(data)/bundles/") else {
                throw BackupError(
                    missing.hasSuffix(masterKey)
                        ? "\(missing) is not there: where TRUNKLINE_MASTER_KEY holds the key, keep that, and leave --with-master-key out"
                        : "\(missing) can't be read; without it there is no backup")
            }
        }
    }

    /// Where it lies: a manager that was started last as an earlier version has it under its older name.
    private static func present(bundle digest: String, in data: String) -> String {
        let older = "\(data)/bundles/\(digest)\(ManagerConfiguration.olderBundleSuffix)"
        return FileManager.default.fileExists(atPath: older) ? older : "\(data)/\(bundle(digest))"
    }

    private static func bundle(_ digest: String) -> String { "bundles/\(digest)\(ManagerConfiguration.bundleSuffix)" }

    /// What may be in a backup: nothing is written anywhere else when it is restored.
    private static func isKept(_ path: String) -> Bool {
        path == database || path == masterKey || path.wholeMatch(of: /bundles\/[0-9a-f]{64}\.(bundle|tar\.gz)/) != nil
            || path.wholeMatch(of: /ca\/[a-z0-9-]+\.(pem|key)/) != nil
    }

    // MARK: Reading

    /// Opens all of it, compares every digest, and lets SQLite look through the database.
    package static func verify(_ path: String, with key: SecurityKey) throws -> Manifest {
        let directory = FileManager.default.temporaryDirectory.appending(path: "trunkline-\(UUID().uuidString)").path
        try makeDirectory(directory)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        return try unpack(path, with: key, into: directory) { $0 == database }
    }

    /// Puts a backup into a directory that is not there, or has nothing in it. All or nothing.
    ///
    /// The next start there takes the word of a new manager: machines obey it also where they have gone on since the backup, and what they
    /// run is left as it is where the record asks for the same.
    package static func restore(
        _ path: String, with key: SecurityKey, to data: String, at now: Timestamp
    ) throws -> Manifest {
        let there = try? FileManager.default.contentsOfDirectory(atPath: data)
        guard there?.isEmpty ?? !FileManager.default.fileExists(atPath: data) else {
            throw BackupError("\(data) has something in it; move it away first, or name another directory with --data")
        }
        let partial = data + ".restoring"
        try? FileManager.default.removeItem(atPath: partial)
        try makeDirectory(partial)
        do {
            let manifest = try unpack(path, with: key, into: partial) { _ in true }
            // Higher than after every earlier restoration of the same backup.
            try DatabaseCopy.markAsOlder(
                "\(partial)/\(database)", manifest.database, epoch: Int(now.milliseconds / 1000))
            guard rename(partial, data) == 0 else {
                throw BackupError("\(partial) can't be renamed to \(data): \(String(cString: strerror(errno)))")
            }
            return manifest
        } catch {
            try? FileManager.default.removeItem(atPath: partial)
            throw error
        }
    }

    private static func makeDirectory(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch { throw BackupError("\(path) can't be made: \(error.localizedDescription)") }
    }

    private static func unpack(
        _ path: String, with key: SecurityKey, into directory: String, where isWanted: (String) -> Bool
    ) throws -> Manifest {
        let file = try BackupFile.Reader(path, with: key)
        let size = try file.next(4).reduce(0) { $0 << 8 | Int($1) }
        guard size <= largestManifest, let manifest = try? JSONDecoder().decode(Manifest.self, from: file.next(size)),
            manifest.v == 1, manifest.files.first?.path == database,
            Set(manifest.files.map(\.path)).count == manifest.files.count
        else { throw BackupError("\(path) was written by another version of trunkline; use that one") }
        for entry in manifest.files {
            guard isKept(entry.path), entry.size >= 0 else {
                throw BackupError("\(path) has something in it that no backup has: \(entry.path)")
            }
            var handle: FileHandle?
            if isWanted(entry.path) {
                let target = "\(directory)/\(entry.path)"
                try makeDirectory(URL(fileURLWithPath: target).deletingLastPathComponent().path)
                let descriptor = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
                guard descriptor >= 0 else { throw SystemError("create", target) }
                handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
            }
            var (left, digest) = (entry.size, BundleDigest())
            while left > 0 {
                let bytes = try file.next(min(left, BackupFile.chunk))
                digest.update(bytes)
                do { try handle?.write(contentsOf: bytes) } catch {
                    throw BackupError("\(directory) can't be written: \(error.localizedDescription)")
                }
                left -= bytes.count
            }
            guard digest.hex() == entry.digest else {
                throw BackupError("\(entry.path) in \(path) is not what its digest says; take another backup")
            }
            try handle?.synchronize()
            try handle?.close()
        }
        try file.finish()
        guard try DatabaseCopy.check("\(directory)/\(database)") == manifest.database else {
            throw BackupError("the database in \(path) is another than its manifest says; take another backup")
        }
        return manifest
    }
}
