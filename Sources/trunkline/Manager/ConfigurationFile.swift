import ArgumentParser
import Foundation
import GroupLanguage
import Logging
import Manager
import Messaging
import OperatingSystem
import Synchronization

/// The manager's configuration file, as far as there is one.
struct ConfigurationFile: Sendable {
    static let standard = "/etc/trunkline/trunkline.conf"
    let path: String

    /// - Parameter given: what `--config` said; empty: none is read. Nil, and nothing at the usual place: there is none.
    init?(_ given: String?) {
        if let given {
            guard !given.isEmpty else { return nil }
            path = Programs.absolute(given)
        } else {
            guard FileManager.default.fileExists(atPath: Self.standard) else { return nil }
            path = Self.standard
        }
    }

    /// Throws every fault with its line. A file that others may write is refused: whoever may name a driver or a command for the broker
    /// has the manager's keys.
    func read() throws -> ManagerFile {
        guard let status = FileStatus(following: path) else {
            throw Failure(
                "\(path) can't be read: \(String(cString: strerror(errno))); --config \"\" starts without a configuration file"
            )
        }
        guard status.kind == .file else { throw Failure("\(path) is no file") }
        guard status.permissions & 0o022 == 0 else {
            throw Failure("\(path) can be written by others; take that away: chmod go-w \(path)")
        }
        guard status.owner == 0 || status.owner == geteuid() else {
            throw Failure(
                "\(path) belongs to somebody else (user \(status.owner)): it is to be root's or the manager's")
        }
        let text = String(decoding: try Streams.read(path), as: UTF8.self)
        do { return try GroupLanguage.manager(from: text, name: path) } catch {
            throw Failure(error.rendered(file: path, source: text).trimmingCharacters(in: .newlines))
        }
    }
}

/// Reads the configuration again when the manager is told to (SIGHUP).
final class ConfigurationReload: Sendable {
    private let file: ConfigurationFile?
    private let flags: [ManagerSetting: [String]]
    private let environment: [String: String]
    /// What the manager was started with: what can't change while it runs is compared with that.
    private let begun: ManagerSettings
    private let last: Mutex<ManagerSettings>
    private let threshold: LogThreshold
    private let logger: Logger

    init(
        file: ConfigurationFile?, flags: [ManagerSetting: [String]], environment: [String: String],
        begun: ManagerSettings, threshold: LogThreshold, logger: Logger
    ) {
        (self.file, self.flags, self.environment) = (file, flags, environment)
        (self.begun, self.threshold, self.logger) = (begun, threshold, logger)
        last = Mutex(begun)
    }

    /// What is in force from now on; nil: everything stays as it is, and the log says why.
    func read() -> ManagerConfiguration.Live? {
        do {
            let new = try ManagerSettings(flags: flags, environment: environment, file: try file?.read())
            let live = try ManagerConfiguration(new).live
            threshold.level = new.logLevel
            for setting in begun.changes(to: new) where !setting.row.isLive {
                logger.warning("\(setting.name) changes at the next start")
            }
            let previous = last.withLock { last in
                defer { last = new }
                return last
            }
            let changed = previous.changes(to: new).filter(\.row.isLive).map(\.name)
            logger.notice(
                "the configuration was read again",
                metadata: ["changed": "\(changed.isEmpty ? "nothing" : changed.joined(separator: ", "))"])
            return live
        } catch {
            // Each fault of the file, with its line, is a line of the log.
            for line in "\(error)".split(separator: "\n") where !line.isEmpty {
                logger.error("the configuration stays as it was: \(line)")
            }
            return nil
        }
    }
}

extension ManagerSettings {
    var logLevel: Logger.Level { text(.logLevel).flatMap(Logger.Level.init(rawValue:)) ?? .notice }

    /// A path that a file names begins where the file is.
    func path(_ setting: ManagerSetting) -> String? {
        guard let text = text(setting) else { return nil }
        guard case .file(let file, _) = entries[setting]?.source, !text.hasPrefix("/") else {
            return Programs.absolute(text)
        }
        return Programs.absolute(URL(fileURLWithPath: file).deletingLastPathComponent().path + "/" + text)
    }
}

extension ManagerConfiguration {
    /// Throws what is to be said to people.
    init(_ settings: ManagerSettings) throws {
        guard let address = settings.text(.listen).flatMap(ListenAddress.init), let data = settings.path(.data) else {
            throw Failure("the manager was not told where to listen, or where its data is")
        }
        self.init(
            dataDirectory: data, host: address.host, port: address.port, brokers: settings.texts(.broker),
            brokersForMachines: settings.texts(.brokerForMachines), root: settings.text(.root) ?? "trunkline",
            agent: try settings.path(.agent) ?? Programs.beside("trunkline-agent"),
            driverDirectory: settings.path(.drivers))
        boots = settings.texts(.boot)
        isInsecure = settings.truth(.insecure)
        brokerReload = settings.text(.brokerReload)
        certificateLife = settings.time(.certificateLife) ?? certificateLife
        serverNames = settings.texts(.serverName)
        if let certificate = settings.path(.tlsCertificate), let key = settings.path(.tlsKey) {
            serverCertificate = (certificate, key)
        }
        driverTimeout = settings.time(.driverTimeout) ?? driverTimeout
        allowsLocalWithoutIsolation = settings.truth(.localWithoutIsolation)
        largestJournal = settings.number(.keepJournalSize) ?? largestJournal
        journalAge = settings.time(.keepJournal) ?? journalAge
        if let age = settings.time(.keepEvents), let rows = settings.number(.keepEventsRows) {
            live.keepEvents(age, rows: rows)
        }
        if let age = settings.time(.keepAudit), let rows = settings.number(.keepAuditRows) {
            live.keepAudit(age, rows: rows)
        }
        if let count = settings.number(.keepRevisions) { live.keepRevisions(count) }
        live.requestsPerSecond = settings.number(.requestRate) ?? live.requestsPerSecond
        do {
            if let url = settings.text(.webhook), let secret = settings.path(.webhookSecret) {
                live.webhook = try WebhookSettings(url: url, secretFile: secret)
            }
            live.notifyProgram = try settings.path(.notifyExec).map { try NotificationProgram(path: $0) }
            let receivers = settings.texts(.notifyMail)
            if !receivers.isEmpty {
                live.mail = try MailSettings(
                    to: receivers, from: settings.text(.notifyMailFrom),
                    sendmail: settings.path(.sendmail) ?? "/usr/sbin/sendmail")
            }
        } catch { throw Failure("\(error)") }
    }
}
