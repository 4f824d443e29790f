import Bundles
import Fleet
import Foundation
import GroupLanguage
import Monitor
import OperatingSystem
import Records

extension Control {
    func pushSoftware(
        _ reference: SoftwareReference, bundleAt path: String, digest: String, size: Int, by caller: Caller
    ) async throws -> (software: SoftwareView, created: Bool) {
        let (manifest, text) = try await Self.manifest(ofBundleAt: path, expecting: reference)
        if reference.name == SoftwareManifest.agentName { try Self.requireAgent(manifest, by: caller) }
        let row = SoftwareRow(
            name: manifest.name, version: manifest.version, service: manifest.service, digest: digest, size: size,
            manifest: manifest, pushed: .wall)
        do { return try record(row, text, bundleAt: path, by: caller) } catch {
            // Where it was not committed, nothing names the bytes, unless they were there before.
            if (try? records.software(digest: digest).isEmpty) == true {
                try? FileManager.default.removeItem(atPath: configuration.bundle(digest))
            }
            throw error
        }
    }

    /// An agent may do on a machine what it likes, which software may not.
    private static func requireAgent(_ manifest: SoftwareManifest, by caller: Caller) throws {
        guard caller.role == .admin, caller.groups == nil else {
            throw Refusal(
                code: .forbidden,
                message:
                    "Pushing an agent needs a token of an admin for all groups: it is root on every machine that takes it."
            )
        }
        guard manifest.run == ["./" + SoftwareManifest.agentName] else {
            throw Refusal(
                code: .invalid,
                message:
                    "The bundle of an agent runs ./\(SoftwareManifest.agentName) and nothing else; make it with: trunkline agent push FILE"
            )
        }
    }

    private func record(
        _ row: SoftwareRow, _ text: String, bundleAt path: String, by caller: Caller
    ) throws -> (software: SoftwareView, created: Bool) {
        let (reference, digest, size) = (row.reference, row.digest, row.size)
        return try transact { control, burst in
            var row = row
            row.pushed = burst.wall
            if let known = try control.records.software(reference) {
                guard known.digest == digest else {
                    throw Refusal(
                        code: .conflict,
                        message:
                            "\(reference) is there with other bytes (sha256 \(known.digest.prefix(12))…); give the new one a new version."
                    )
                }
                try? FileManager.default.removeItem(atPath: path)
                return (SoftwareView(known), false)
            }
            try control.requireOrdersFit(row, text: text)
            // The file first: a row without its bytes would be worse than bytes without a row.
            // It takes the place of the same bytes: those may be what a removal, or a push without a commit, left.
            let target = control.configuration.bundle(digest)
            guard rename(path, target) == 0 else {
                throw SystemError("rename to", target)
            }
            try synchronizeDirectory(control.configuration.bundleDirectory)
            burst.changes.append(.software(row))
            burst.note(
                .softwarePushed, by: caller, "\(reference) pushed, \(size) bytes", facts: ["digest": digest],
                subject: "software \(reference)", after: ["digest": digest, "size": "\(size)"])
            return (SoftwareView(row), true)
        }
    }

    /// Reads through the whole bundle, so that what machines would refuse is refused here.
    @concurrent
    private nonisolated static func manifest(ofBundleAt path: String, expecting reference: SoftwareReference)
        async throws -> (manifest: SoftwareManifest, text: String)
    {
        let contents: BundleReader.Contents
        do { contents = try BundleReader.check(bundleAt: path) } catch {
            throw Refusal(code: .invalid, message: "The bundle can't be used: \(error)")
        }
        let manifest: SoftwareManifest
        do { manifest = try GroupLanguage.software(from: contents.manifestText) } catch {
            throw Refusal(error, in: SoftwareManifest.fileName, source: contents.manifestText)
        }
        guard manifest.reference == reference else {
            throw Refusal(
                code: .invalid,
                message:
                    "The bundle says that it is \(manifest.reference), not \(reference); push it under its own name.")
        }
        let faults = contents.programs.faults(of: manifest)
        guard faults.isEmpty else {
            throw Refusal(
                code: .invalid, message: "No machine could run the bundle: \(faults.joined(separator: "; ")).")
        }
        return (manifest, contents.manifestText)
    }

    func removeSoftware(_ reference: SoftwareReference, by caller: Caller) async throws {
        let digest = try transact { control, burst in
            guard let row = try control.records.software(reference) else {
                throw Refusal(code: .notFound, message: "There is no software \(reference).")
            }
            var users = try control.records.groups(usingDigest: row.digest)
            if reference.name == SoftwareManifest.agentName {
                users += try control.records.allGroups().map(\.name).filter {
                    control.monitor.group($0)?.definition.agent == reference.version
                }
            }
            guard users.isEmpty else {
                throw Refusal(
                    code: .conflict,
                    message: "\(reference) is named by \(users.joined(separator: ", ")); change or remove that first.")
            }
            try control.requireNoWayBack(row)
            burst.changes.append(.removeSoftware(reference))
            burst.note(
                .softwareRemoved, by: caller, "\(reference) removed", facts: ["digest": row.digest],
                subject: "software \(reference)", before: ["digest": row.digest, "size": "\(row.size)"])
            return row.digest
        }
        // After the commit, and before anybody else's turn: a row never lacks its bytes. What a kill leaves here is swept at the next start.
        if try records.software(digest: digest).isEmpty {
            try? FileManager.default.removeItem(atPath: configuration.bundle(digest))
        }
    }

    /// Removes bundles that nothing names, in a turn of its own: none is on its way to a commit meanwhile.
    func sweepBundles(olderThan age: TimeSpan) throws {
        try DataDirectory(configuration: configuration, logger: logger).sweep(records, olderThan: age)
    }
}

extension Control.Burst {
    /// A user's act, for the history.
    mutating func note(
        _ kind: EventEntry.Kind, by caller: Caller, group: String? = nil, machine: String? = nil, _ message: String,
        facts: [String: String] = [:], subject: String? = nil, before: [String: String]? = nil,
        after: [String: String]? = nil
    ) {
        var facts = facts
        facts["address"] = caller.address
        details[changes.count] = AuditDetail(subject: subject, before: before, after: after)
        changes.append(
            .event(
                EventEntry(
                    at: wall, group: group, machine: machine, kind: kind, actor: "user \(caller.name)",
                    message: message,
                    facts: facts)))
    }
}

extension Refusal {
    /// What the checker found, as data and as a compiler prints it.
    init(_ diagnostics: Diagnostics, in file: String, source: String) {
        let count = diagnostics.all.count
        self.init(
            code: .invalid, message: "\(file) has \(count == 1 ? "an error" : "\(count) errors").",
            diagnostics: diagnostics.all.map(\.view), text: diagnostics.rendered(file: file, source: source))
    }
}

/// Makes a rename in the directory durable.
func synchronizeDirectory(_ path: String) throws {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw SystemError("open", path) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw SystemError("flush", path) }
}
