import Fleet
import Foundation
import GroupLanguage
import Monitor
import Records

/// What is accepted can be carried out: no order is larger than machines take, no variable longer than Linux passes.
extension Control {
    nonisolated var forecast: OrderForecast {
        OrderForecast(
            authorities: CertificateIssuer.longestTrust(issuer), brokers: configuration.orderBrokers)
    }

    /// Refuses a record of which machines would refuse the orders.
    nonisolated func requireOrdersFit(_ definition: GroupDefinition, software: SoftwareRow, source: RecordSource) throws
    {
        let forecast = forecast
        do {
            try forecast.check(
                forecast.largestDraft(of: definition, software: software), software: software, secret: valueIfSet)
        } catch let fault as OrderForecast.Fault {
            let (text, isJSON) =
                switch source {
                case .text(let text): (text, false)
                case .json(let text): (text, true)
                }
            throw Refusal(
                GroupLanguage.fault(
                    fault.id, at: .environment(variable: fault.variable), in: text, isJSON: isJSON, fault.message,
                    hint: fault.hint), in: "record", source: text)
        }
    }

    /// The same of a record that was accepted when less was asked.
    func requireOrdersFit(_ record: GroupRecord) throws {
        guard let software = try records.software(record.definition.software) else { return }
        try requireOrdersFit(record.definition, software: software, source: .text(row(record.name).text))
    }

    /// Refuses a value with which the orders of some group could not be sent, or the software not be started: those of its record, and those
    /// that its machines have of records before it.
    func requireOrdersFit(secret: String, value: String) throws {
        let forecast = forecast
        for row in try records.allGroups() {
            guard let record = monitor.group(row.name) else { continue }
            var drafts: [OrderDraft] = []
            if let software = try records.software(record.definition.software) {
                drafts.append(forecast.largestDraft(of: record.definition, software: software))
            }
            drafts += longestDrafts(of: row.name)
            for draft in drafts where draft.order.environment.values.contains(.secret(secret)) {
                guard let software = try records.software(draft.order.software) else { continue }
                do {
                    try forecast.check(draft, software: software) { $0 == secret ? value : try valueIfSet($0) }
                } catch let fault as OrderForecast.Fault {
                    throw Refusal(
                        code: .invalid,
                        message:
                            "The secret \(secret) cannot have these \(value.utf8.count) bytes, and stays as it was: group \(row.name) names it, and \(fault.message)."
                    )
                }
            }
        }
    }

    /// Of the machines' present orders one for each software and set of variables, the one with the most text in it.
    private func longestDrafts(of group: String) -> [OrderDraft] {
        struct Shape: Hashable {
            var software: SoftwareReference
            var variables: Set<String>
        }
        var longest: [Shape: (bytes: Int, draft: OrderDraft)] = [:]
        for machine in monitor.machines(of: group) {
            guard let draft = draft(of: machine.id) else { continue }
            let shape = Shape(software: draft.order.software, variables: Set(draft.order.environment.keys))
            let bytes = draft.order.environment.values.reduce(0) { sum, value in
                if case .plain(let text) = value { sum + text.utf8.count } else { sum }
            }
            if let known = longest[shape], known.bytes >= bytes { continue }
            longest[shape] = (bytes, draft)
        }
        return longest.values.map(\.draft).sorted { $0.machine < $1.machine }
    }

    /// Refuses software of which no group could have its machines run it.
    func requireOrdersFit(_ software: SoftwareRow, text: String) throws {
        let forecast = forecast
        let definition = GroupDefinition(
            name: String(repeating: "a", count: Name.longestOfGroup), service: software.service,
            software: software.reference, machines: MachineSet(count: 1, platform: .none))
        do {
            try forecast.check(
                forecast.largestDraft(of: definition, software: software), software: software, secret: valueIfSet)
        } catch let fault as OrderForecast.Fault {
            throw Refusal(
                GroupLanguage.fault(
                    fault.id, at: .environment(variable: nil), in: text, fault.message, hint: fault.hint),
                in: SoftwareManifest.fileName, source: text)
        }
    }

    /// Empty where it is not set: when it is, it is checked then.
    private nonisolated func valueIfSet(_ secret: String) throws -> String {
        guard let sealed = try records.secret(secret) else { return "" }
        return try vault.secret(sealed, named: secret)
    }
}
