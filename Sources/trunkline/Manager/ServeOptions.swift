import ArgumentParser
import GroupLanguage

/// The flags of `trunkline serve` that have a place in the configuration file; all that is said of them stands in `ManagerSetting`.
struct ServeOptions: ParsableArguments {
    @Option(.data) var data: String?
    @Option(.listen) var listen: String?
    @Option(.serverName) var serverName: [String]
    @Option(.tlsCertificate) var tlsCertificate: String?
    @Option(.tlsKey) var tlsKey: String?
    @Option(.requestRate) var requestRate: String?
    @Option(.broker) var broker: [String]
    @Option(.brokerForMachines) var brokerForMachines: [String]
    @Option(.boot) var boot: [String]
    @Option(.brokerReload) var brokerReload: String?
    @Option(.root) var root: String?
    @Option(.certificateLife) var certificateLife: String?
    @Flag(.insecure) var insecure: Bool
    @Option(.agent) var agent: String?
    @Flag(.localWithoutIsolation) var localWithoutIsolation: Bool
    @Option(.drivers) var drivers: String?
    @Option(.driverTimeout) var driverTimeout: String?
    @Option(.webhook) var webhook: String?
    @Option(.webhookSecret) var webhookSecret: String?
    @Option(.notifyExec) var notifyExec: String?
    @Option(.notifyMail) var notifyMail: [String]
    @Option(.notifyMailFrom) var notifyMailFrom: String?
    @Option(.sendmail) var sendmail: String?
    @Option(.keepEvents) var keepEvents: String?
    @Option(.keepEventsRows) var keepEventsRows: String?
    @Option(.keepAudit) var keepAudit: String?
    @Option(.keepAuditRows) var keepAuditRows: String?
    @Option(.keepRevisions) var keepRevisions: String?
    @Option(.keepJournal) var keepJournal: String?
    @Option(.keepJournalSize) var keepJournalSize: String?
    @Option(.logLevel) var logLevel: String?
    @Option(.logFormat) var logFormat: String?

    /// What was said of each.
    var given: [ManagerSetting: [String]] {
        var given: [ManagerSetting: [String]] = [:]
        for setting in ManagerSetting.allCases { given[setting] = said(of: setting) }
        return given
    }

    private func said(of setting: ManagerSetting) -> [String]? {
        func one(_ text: String?) -> [String]? { text.map { [$0] } }
        return switch setting {
        case .data: one(data)
        case .listen: one(listen)
        case .serverName: serverName
        case .tlsCertificate: one(tlsCertificate)
        case .tlsKey: one(tlsKey)
        case .requestRate: one(requestRate)
        case .broker: broker
        case .brokerForMachines: brokerForMachines
        case .boot: boot
        case .brokerReload: one(brokerReload)
        case .root: one(root)
        case .certificateLife: one(certificateLife)
        case .insecure: insecure ? ["true"] : nil
        case .agent: one(agent)
        case .localWithoutIsolation: localWithoutIsolation ? ["true"] : nil
        case .drivers: one(drivers)
        case .driverTimeout: one(driverTimeout)
        case .webhook: one(webhook)
        case .webhookSecret: one(webhookSecret)
        case .notifyExec: one(notifyExec)
        case .notifyMail: notifyMail
        case .notifyMailFrom: one(notifyMailFrom)
        case .sendmail: one(sendmail)
        case .keepEvents: one(keepEvents)
        case .keepEventsRows: one(keepEventsRows)
        case .keepAudit: one(keepAudit)
        case .keepAuditRows: one(keepAuditRows)
        case .keepRevisions: one(keepRevisions)
        case .keepJournal: one(keepJournal)
        case .keepJournalSize: one(keepJournalSize)
        case .logLevel: one(logLevel)
        case .logFormat: one(logFormat)
        }
    }
}

extension Option where Value == String? {
    fileprivate init(_ setting: ManagerSetting) {
        self.init(name: .customLong(setting.rawValue), help: setting.argumentHelp, completion: setting.completion)
    }
}

extension Option where Value == [String] {
    fileprivate init(_ setting: ManagerSetting) {
        self.init(
            wrappedValue: [], name: .customLong(setting.rawValue), help: setting.argumentHelp,
            completion: setting.completion)
    }
}

extension Flag where Value == Bool {
    fileprivate init(_ setting: ManagerSetting) {
        self.init(wrappedValue: false, name: .customLong(setting.rawValue), help: setting.argumentHelp)
    }
}

extension ManagerSetting {
    fileprivate var argumentHelp: ArgumentHelp {
        let fallback = row.fallback.first.map { " (default: \($0))" } ?? ""
        return ArgumentHelp("\(row.help)\(fallback)", valueName: row.valueName)
    }

    fileprivate var completion: CompletionKind? {
        switch row.kind {
        case .path(isDirectory: true): .directory
        case .path(isDirectory: false): .file()
        case .word(let words): .list(words)
        case .text, .texts, .truth, .count, .time, .size: nil
        }
    }
}
