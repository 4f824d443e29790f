import Fleet

extension GroupJSON {
    /// On one line, keys in a stable order.
    static func text(of group: GroupDefinition) -> String {
        object([
            ("group", quoted(group.name)), ("service", quoted(group.service)),
            ("software", quoted(group.software.description)), ("agent", group.agent.map(quoted)),
            ("heartbeat", quoted(group.heartbeat.description)),
            ("machines", machines(group.machines)),
            ("env", object(group.environment.map { ($0.name, variable($0.value)) })),
            ("rollout", rollout(group.rollout)),
            ("rules", "[" + group.rules.map(rule).joined(separator: ",") + "]"),
        ])
    }

    private static func object(_ members: [(String, String?)]) -> String {
        let written = members.compactMap { key, value in value.map { "\(quoted(key)):\($0)" } }
        return "{\(written.joined(separator: ","))}"
    }

    private static func machines(_ machines: MachineSet) -> String {
        let labels = machines.labels.sorted { $0.key < $1.key }.map { ($0.key, Optional(quoted($0.value))) }
        let awayLimit: String =
            if case .count(let count) = machines.awayLimit {
                "\(count)"
            } else {
                quoted(GroupText.text(machines.awayLimit))
            }
        return object([
            ("count", "\(machines.count)"), ("min", machines.minimum.map { "\($0)" }),
            ("max", machines.maximum.map { "\($0)" }), ("platform", quoted(machines.platform.description)),
            ("labels", object(labels)), ("away_limit", awayLimit),
            ("boot_timeout", quoted(machines.bootTimeout.description)),
        ])
    }

    private static func variable(_ expression: Expression) -> String {
        switch expression {
        case .value(.string(let string)): quoted(string)
        case .secret(let name): object([("secret", quoted(name))])
        default: object([("expression", quoted(ExpressionText.text(expression)))])
        }
    }

    private static func rollout(_ rollout: RolloutPolicy) -> String {
        let drain = rollout.drain.map { drain in
            object([
                ("until", quoted(ExpressionText.text(drain.until))), ("at_most", quoted(drain.atMost.description)),
                ("keep", "\(drain.keep)"),
            ])
        }
        let batch: String =
            if case .count(let count) = rollout.batch { "\(count)" } else { quoted(GroupText.text(rollout.batch)) }
        let canary = rollout.canary.map { canary in
            guard canary.holds != .zero || canary.worse != nil else { return "\(canary.machines)" }
            return object([
                ("machines", "\(canary.machines)"),
                ("for", canary.holds == .zero ? nil : quoted(canary.holds.description)),
                ("worse", canary.worse.map { quoted(ExpressionText.text($0)) }),
            ])
        }
        return object([
            ("canary", canary), ("promote", rollout.canary == nil ? nil : quoted(rollout.promote.rawValue)),
            ("batch", batch), ("settle", quoted(rollout.settle.description)),
            ("within", quoted(rollout.within.description)), ("max_failed", "\(rollout.maxFailed)"),
            ("on_failure", quoted(rollout.onFailure.rawValue)), ("drain", drain),
            ("bandwidth", rollout.bandwidth.map { quoted(ExpressionText.rate($0)) }),
            ("delivery", quoted(rollout.delivery.rawValue)),
        ])
    }

    private static func rule(_ rule: Rule) -> String {
        object([
            ("name", quoted(rule.name)), ("when", quoted(ExpressionText.text(rule.when))),
            ("for", rule.holds == .zero ? nil : quoted(rule.holds.description)),
            ("then", quoted(GroupText.text(rule.action))),
            ("at_most", rule.limit.map { object([("count", "\($0.count)"), ("per", quoted($0.per.description))]) }),
            ("dry_run", rule.isDry ? "true" : nil),
        ])
    }

    static func quoted(_ string: String) -> String {
        var text = "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            default:
                text += scalar.isPlain ? String(scalar) : scalar.inJSON
            }
        }
        return text + "\""
    }
}
