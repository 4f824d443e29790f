import Certificates
import Fleet
import Foundation
import Logging
import Messaging
import OperatingSystem
import Records

/// The files of the authorities, and of the broker whose configuration names them.
struct CertificateFiles: Sendable {
    /// `ca`: private.
    let directory: String
    /// `broker`: what the broker gets; copied to its host where that is another.
    let brokerDirectory: String
    /// Whom clients of the REST API are to trust, and nobody else is: what the broker shows must not pass for the API's.
    let trustFile: String
    /// The names and addresses by which the broker is reached.
    let brokerNames: [String]
    private let reload: String?
    private let logger: Logger

    init(_ configuration: ManagerConfiguration, logger: Logger) throws {
        directory = configuration.path("ca")
        brokerDirectory = configuration.brokerDirectory
        trustFile = configuration.path("trust.pem")
        let brokers = configuration.machineBrokers
        let hosts = (configuration.brokers + configuration.bootsForManager + brokers.known + brokers.boot).compactMap {
            BrokerAddress($0)?.host
        }
        brokerNames = Set(hosts + ["localhost", "127.0.0.1", "::1"]).sorted()
        reload = configuration.brokerReload
        self.logger = logger
        for path in [directory, brokerDirectory] {
            do {
                try FileManager.default.createDirectory(
                    atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            } catch { throw StartError("\(path) can't be made: \(error.localizedDescription)") }
        }
    }

    func path(_ name: String) -> String { "\(directory)/\(name)" }

    /// Nil where there is none.
    func authority(_ name: String) throws -> CertificateAuthority? {
        let (certificate, key) = (path("\(name).pem"), path("\(name).key"))
        let there = [certificate, key].filter { FileManager.default.fileExists(atPath: $0) }
        guard !there.isEmpty else { return nil }
        guard there.count == 2 else {
            throw StartError(
                "\(directory) has only one of \(name).pem and \(name).key; put the other there, or remove it")
        }
        do {
            return try CertificateAuthority(
                certificatePEM: try String(contentsOfFile: certificate, encoding: .utf8),
                keyPEM: try String(contentsOfFile: key, encoding: .utf8))
        } catch {
            throw StartError("the certificate authority in \(certificate) can't be used: \(error)")
        }
    }

    /// The one that is there, or a new one.
    func kept(_ name: String, title: String, life: TimeSpan, at now: Timestamp) throws -> CertificateAuthority {
        if let kept = try authority(name) {
            guard kept.notAfter > now else {
                throw StartError("the certificate authority in \(path("\(name).pem")) expired at \(kept.notAfter)")
            }
            return kept
        }
        let made = try CertificateAuthority(title: title, life: life, at: now)
        try write(made, as: name)
        logger.notice("certificate authority made", metadata: ["file": "\(path("\(name).pem"))"])
        return made
    }

    /// The certificate last: with the key alone the manager would say what is missing.
    func write(_ authority: CertificateAuthority, as name: String) throws {
        let key = path("\(name).key")
        let isNew = !FileManager.default.fileExists(atPath: key)
        try PrivateFile.write(Data(authority.keyPEM.utf8), to: key)
        do { try PrivateFile.write(Data(authority.pem.utf8), to: path("\(name).pem")) } catch {
            // Of an authority that nobody has seen yet: the next start makes another.
            if isNew { try? FileManager.default.removeItem(atPath: key) }
            throw error
        }
    }

    /// Both files of an authority, whichever is there.
    func discard(_ name: String) throws {
        for file in ["\(name).pem", "\(name).key"].map(path) where FileManager.default.fileExists(atPath: file) {
            try FileManager.default.removeItem(atPath: file)
        }
    }

    /// Makes the files what was committed, wherever a change of the authority was broken off.
    func mendRotation(for kept: AuthorityRow?) throws {
        guard let kept else { return try mendUnrecordedRotation() }
        // Half of it: the change was broken off while it was prepared.
        if let next = try? authority("next"), next.identifier == kept.current {
            logger.notice("the change of the certificate authority was broken off, and is finished now")
            try settle()
        } else {
            try discard("next")
        }
        if kept.previous == nil { return try discard("previous") }
        // The new one is lost without a copy: the old one, which everybody still trusts, signs again.
        if (try? authority("ca")) == nil, let previous = try authority("previous") {
            logger.warning("the new certificate authority can't be used; the one before it is in force again")
            try write(previous, as: "ca")
            try discard("previous")
        }
    }

    /// The authority in `next` takes the place of the one in `ca`, which becomes the previous one. May be broken off anywhere, and begun again.
    func settle() throws {
        guard let next = try authority("next") else { return }
        // Unreadable: one of its two files is the new one already, and the old one is in `previous`.
        if let old = try? authority("ca"), old.identifier != next.identifier { try write(old, as: "previous") }
        try write(next, as: "ca")
        try discard("next")
    }

    /// By a version that recorded no authority: goes back to before, or forward to after.
    private func mendUnrecordedRotation() throws {
        try discard("next")
        let parts = ["previous.pem", "previous.key"].map(path)
        let there = parts.filter { FileManager.default.fileExists(atPath: $0) }
        if there.count == 1 { return try FileManager.default.removeItem(atPath: there[0]) }
        guard let previous = try authority("previous") else { return }
        do {
            guard try authority("ca")?.identifier == previous.identifier else { return }
        } catch {
            logger.warning("the change of the certificate authority was broken off; begin it again")
            try write(previous, as: "ca")
        }
        try discard("previous")
    }

    func writeForBroker(_ text: String, as name: String) throws {
        try PrivateFile.write(Data(text.utf8), to: "\(brokerDirectory)/\(name)")
    }

    func forBroker(_ name: String) -> String? {
        try? String(contentsOfFile: "\(brokerDirectory)/\(name)", encoding: .utf8)
    }

    func written(_ name: String) -> Timestamp? {
        let attributes = try? FileManager.default.attributesOfItem(atPath: "\(brokerDirectory)/\(name)")
        guard let date = attributes?[.modificationDate] as? Date else { return nil }
        return Timestamp(milliseconds: Int64(date.timeIntervalSince1970 * 1000))
    }

    func writeTrust(_ text: String) throws { try PrivateFile.write(Data(text.utf8), to: trustFile) }

    /// Mosquitto reads certificates and revocations again when it gets SIGHUP, which start.sh hands on to both brokers; connections that are
    /// up stay up.
    ///
    /// A broker that does not run is as good as told: it reads them when it starts.
    func reloadBroker() throws {
        if let reload { return try run(reload) }
        guard let text = try? String(contentsOfFile: "\(brokerDirectory)/mosquitto.pid", encoding: .utf8),
            let pid = Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)), pid > 1, isBroker(pid)
        else {
            return logger.info(
                "no broker to tell of new certificates; one elsewhere needs --broker-reload",
                metadata: ["directory": "\(brokerDirectory)"])
        }
        // A broker that is just starting would die of it.
        for _ in 0..<200 where !catchesHangup(pid) { usleep(10_000) }
        if catchesHangup(pid), kill(pid, SIGHUP) == 0 { return }
        if isBroker(pid) { throw ReloadError("the broker, process \(pid), can't be told to reload") }
    }

    /// The number may have become another process's.
    private func isBroker(_ pid: Int32) -> Bool {
        if (try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8)) == "mosquitto\n" { return true }
        // Software has a start.sh, too; ours has two ports.
        let arguments = (FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()).split(separator: 0)
            .map { String(decoding: $0, as: UTF8.self) }
        guard let script = arguments.firstIndex(where: { $0.hasSuffix("start.sh") }), arguments.count > script + 4
        else { return false }
        return arguments[(script + 2)...(script + 3)].allSatisfy { UInt16($0) != nil }
    }

    struct ReloadError: Error, CustomStringConvertible {
        var description: String
        init(_ description: String) { self.description = description }
    }

    /// Seconds that the user's command may take.
    private static let reloadTime = 30

    private func run(_ command: String) throws {
        // Foundation's Process reads behind its buffer where 1,365 files are open, and connections are files.
        let shell = "/bin/sh"
        let pid: Int32
        do {
            pid = try DetachedProcess.spawn(
                shell, arguments: [shell, "-c", command], environment: ProcessInfo.processInfo.environment,
                files: [.opened("/dev/null", flags: O_RDONLY), .inherited(1), .inherited(2)])
        } catch { throw ReloadError("\(command): \(error)") }
        guard let status = Self.status(of: pid) else {
            // It leads a process group of its own; what it started is not to pile up.
            kill(-pid, SIGKILL)
            waitpid(pid, nil, 0)
            throw ReloadError("the command of --broker-reload did not end in \(Self.reloadTime) s: \(command)")
        }
        guard status == 0 else {
            throw ReloadError("the command of --broker-reload ended with \(status): \(command)")
        }
    }

    /// The exit status, or the signal that ended it; nil: it does not end.
    private static func status(of pid: Int32) -> Int32? {
        let deadline = ContinuousClock.now + .seconds(reloadTime)
        var status: Int32 = 0
        while ContinuousClock.now < deadline {
            let ended = waitpid(pid, &status, WNOHANG)
            if ended == pid { return status & 0x7f == 0 ? status >> 8 & 0xff : status & 0x7f }
            // Somebody else has waited for it: how it ended is not known, and not to be called well.
            if ended < 0, errno != EINTR { return -1 }
            usleep(10_000)
        }
        return nil
    }

    /// Whether the process has a handler for SIGHUP (proc(5), `SigCgt`).
    private func catchesHangup(_ pid: Int32) -> Bool {
        let status = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("SigCgt:") }
        let mask = line.flatMap { UInt64($0.dropFirst("SigCgt:".count).drop { $0 == "\t" }, radix: 16) } ?? 0
        return mask & 1 << UInt64(SIGHUP - 1) != 0
    }
}
