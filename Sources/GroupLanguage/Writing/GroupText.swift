import Fleet

/// A group in the language; the formatter gives it its final shape.
enum GroupText {
    static func group(_ group: GroupDefinition) -> String {
        var text = "group \(ExpressionText.quoted(group.name)) {\n"
        text += "service = \(ExpressionText.word(group.service))\n"
        text += "software = \(ExpressionText.quoted(group.software.description))\n"
        if let agent = group.agent { text += "agent = \(ExpressionText.quoted(agent))\n" }
        text += "heartbeat = \(group.heartbeat)\n\n"
        text += machines(group.machines) + "\n"
        if !group.environment.isEmpty {
            text += "env = {\n"
            for entry in group.environment { text += "\(entry.name) = \(ExpressionText.text(entry.value))\n" }
            text += "}\n\n"
        }
        text += rollout(group.rollout) + "\n"
        for rule in group.rules { text += Self.rule(rule) + "\n" }
        return text + "}\n"
    }

    static func rule(_ rule: Rule) -> String {
        var text = "rule \(ExpressionText.quoted(rule.name)) { when \(ExpressionText.text(rule.when))"
        if rule.holds != .zero { text += " for \(rule.holds)" }
        text += " then \(Self.text(rule.action))"
        if let limit = rule.limit { text += " at_most = \(limit.count) per \(limit.per)" }
        if rule.isDry { text += "  dry_run = true" }
        return text + " }"
    }

    static func text(_ action: Action) -> String {
        switch action {
        case .deliver, .restart, .stop, .replace, .revoke, .rollback: action.word
        case .scale(let step): "scale(\(step > 0 ? "+" : "")\(step))"
        case .scaleTo(let count): "scale_to(\(count))"
        case .notify(let message): "notify(\(ExpressionText.quoted(message)))"
        }
    }

    static func text(_ platform: Platform) -> String {
        if case .exec(let driver) = platform { return "exec(\(ExpressionText.quoted(driver)))" }
        return platform.description
    }

    static func text(_ batch: RolloutPolicy.Batch) -> String {
        switch batch {
        case .percent(let percent): ExpressionText.number(percent) + "%"
        case .count(let count): "\(count)"
        }
    }

    static func text(_ limit: MachineSet.AwayLimit) -> String {
        switch limit {
        case .percent(let percent): ExpressionText.number(percent) + "%"
        case .count(let count): "\(count)"
        }
    }

    private static func machines(_ machines: MachineSet) -> String {
        var text = "machines {\ncount = \(machines.count)\n"
        if let minimum = machines.minimum { text += "min = \(minimum)\n" }
        if let maximum = machines.maximum { text += "max = \(maximum)\n" }
        text += "platform = \(Self.text(machines.platform))\n"
        if !machines.labels.isEmpty {
            let labels = machines.labels.sorted { $0.key < $1.key }
                .map { "\(ExpressionText.quoted($0.key)) = \(ExpressionText.quoted($0.value))" }
            text += "labels = { \(labels.joined(separator: ", ")) }\n"
        }
        text += "away_limit = \(Self.text(machines.awayLimit))\nboot_timeout = \(machines.bootTimeout)\n"
        return text + "}\n"
    }

    private static func canary(_ canary: RolloutPolicy.Canary) -> String {
        guard canary.holds != .zero || canary.worse != nil else { return "canary = \(canary.machines)" }
        var text = "canary { machines = \(canary.machines)"
        if canary.holds != .zero { text += " for = \(canary.holds)" }
        if let worse = canary.worse { text += " worse = \(ExpressionText.text(worse))" }
        return text + " }"
    }

    private static func rollout(_ rollout: RolloutPolicy) -> String {
        var text = "rollout {\n"
        if let canary = rollout.canary { text += "\(Self.canary(canary))\npromote = \(rollout.promote.rawValue)\n" }
        text += "batch = \(Self.text(rollout.batch))\nsettle = \(rollout.settle)\nwithin = \(rollout.within)\n"
        text += "max_failed = \(rollout.maxFailed)\non_failure = \(rollout.onFailure.rawValue)\n"
        if let drain = rollout.drain {
            text +=
                "drain { until = \(ExpressionText.text(drain.until)) at_most = \(drain.atMost) keep = \(drain.keep) }\n"
        }
        if let bandwidth = rollout.bandwidth { text += "bandwidth = \(ExpressionText.rate(bandwidth))\n" }
        return text + "delivery = \(rollout.delivery.rawValue)\n}\n"
    }
}

/// Software in the language.
enum SoftwareText {
    static func software(_ software: SoftwareManifest) -> String {
        var text = "software \(ExpressionText.quoted(software.name)) {\n"
        text += "version = \(ExpressionText.quoted(software.version))\n"
        text += "service = \(ExpressionText.word(software.service))\n"
        text += "run = \(list(software.run))\n"
        if !software.environment.isEmpty {
            text += "env = {\n"
            for (name, value) in software.environment.sorted(by: { $0.key < $1.key }) {
                text += "\(name) = \(ExpressionText.quoted(value))\n"
            }
            text += "}\n"
        }
        text += "stop { signal = \(software.stop.signal) timeout = \(software.stop.timeout) }\n"
        if let health = software.health {
            text += "health { exec = \(list(health.exec)) every = \(health.every) timeout = \(health.timeout)"
            text += " failures = \(health.failures)\(secrets(health.secrets)) }\n"
        }
        if let metrics = software.metrics {
            text += "metrics { exec = \(list(metrics.exec)) every = \(metrics.every)\(secrets(metrics.secrets)) }\n"
        }
        for (keyword, hook) in [("drain", software.drain), ("undrain", software.undrain)] {
            guard let hook else { continue }
            text += "\(keyword) { exec = \(list(hook.exec)) timeout = \(hook.timeout)\(secrets(hook.secrets)) }\n"
        }
        if let limits = software.limits { text += "limits { \(Self.limits(limits)) }\n" }
        if let capabilities = software.capabilities {
            text += "capabilities = [\(capabilities.joined(separator: ", "))]\n"
        }
        return text + "}\n"
    }

    private static func secrets(_ names: [String]?) -> String {
        names.map { " secrets = \(list($0))" } ?? ""
    }

    private static func limits(_ limits: SoftwareManifest.Limits) -> String {
        [
            limits.memory.map { "memory = \(ExpressionText.size($0))" }, limits.cpu.map { "cpu = \($0)%" },
            limits.processes.map { "processes = \($0)" }, limits.files.map { "files = \($0)" },
        ].compactMap { $0 }.joined(separator: " ")
    }

    private static func list(_ strings: [String]) -> String {
        "[\(strings.map(ExpressionText.quoted).joined(separator: ", "))]"
    }
}
