import Fleet

extension Checker {
    mutating func software(_ block: Block) -> SoftwareManifest? {
        let name = label(of: block, check: { Name.isValid($0) }, rule: Self.nameRule)
        let fields = fields(of: block, .software)
        require("version", in: fields, hint: "version = \"1.0\"")
        require("service", in: fields, hint: "service = voice")
        require("run", in: fields, hint: "run = [\"./start.sh\"]")

        let version = fields.pairs["version"].flatMap { self.version($0) }
        let service = fields.pairs["service"].flatMap { self.name($0) }
        let run = fields.pairs["run"].flatMap { command($0) }
        let environment = fields.pairs["env"].map { plainEnvironment($0) }
        let stop = fields.blocks["stop"]?.first.map { self.stop($0) }
        let health = fields.blocks["health"]?.first.flatMap { self.health($0) }
        let metrics = fields.blocks["metrics"]?.first.flatMap { self.metrics($0) }
        let drain = fields.blocks["drain"]?.first.flatMap { hook($0) }
        let undrain = fields.blocks["undrain"]?.first.flatMap { hook($0) }
        if let block = fields.blocks["undrain"]?.first, fields.blocks["drain"] == nil {
            faults.add(
                "undrain-without-drain", block.keyword.span,
                "`undrain` takes back what `drain` does, and there is none",
                hint: "add `drain { exec = [\"./drain.sh\"] }`")
        }
        let limits = fields.blocks["limits"]?.first.flatMap { self.limits($0) }
        let capabilities = fields.pairs["capabilities"].flatMap { self.capabilities($0) }

        guard faults.isEmpty, let name, let version, let service, let run else { return nil }
        return SoftwareManifest(
            name: name, version: version, service: service, run: run, environment: environment ?? [:],
            stop: stop ?? SoftwareManifest.Stop(), health: health, metrics: metrics, drain: drain,
            undrain: undrain, limits: limits, capabilities: capabilities)
    }

    mutating func version(_ pair: Pair) -> String? {
        guard let version = string(pair) else { return nil }
        guard Name.isValidVersion(version) else {
            faults.add(
                "invalid-version", pair.value.span, "not a valid version",
                hint: "1 to 64 letters, digits and `.-_+~`, beginning with a letter or digit")
            return nil
        }
        return version
    }

    /// Literals only: what software brings along is the same on every machine.
    private mutating func plainEnvironment(_ pair: Pair) -> [String: String] {
        var environment: [String: String] = [:]
        for pair in map(pair) ?? [] {
            guard isVariable(pair.key) else { continue }
            if let value = plain(pair.value) {
                require(pair.key.text, bytes: value.utf8.count, canBePassed: pair.value)
                environment[pair.key.text] = value
            } else if !pair.value.isMissing {
                var hint = "expressions and secrets stand in a group's `env`"
                if case .word(let word) = pair.value.kind { hint = "write `\"\(word.prefix(64))\"`" }
                wrongType(
                    pair.value, pair.key.text.prefix(64).description, expected: "a string or a number", hint: hint)
            }
        }
        require(environment.map { ($0.key, $0.value.utf8.count) }, fitInOrder: pair.key)
        return environment
    }

    private func plain(_ node: Node) -> String? {
        switch node.kind {
        case .string(let string): string
        case .number, .duration, .prefix: node.numeral
        case .word("true"): "true"
        case .word("false"): "false"
        default: nil
        }
    }

    private mutating func stop(_ block: Block) -> SoftwareManifest.Stop {
        let fields = fields(of: block, .stop)
        var stop = SoftwareManifest.Stop()
        if let pair = fields.pairs["signal"], let signal = word(pair, among: SoftwareManifest.Stop.signals) {
            stop.signal = signal
        }
        if let pair = fields.pairs["timeout"], let timeout = timeout(pair) { stop.timeout = timeout }
        return stop
    }

    private mutating func timeout(_ pair: Pair) -> TimeSpan? { duration(pair, in: .milliseconds(1) ... .hours(1)) }

    private mutating func period(_ pair: Pair) -> TimeSpan? { duration(pair, in: .milliseconds(100) ... .hours(24)) }

    private mutating func health(_ block: Block) -> SoftwareManifest.HealthCheck? {
        let fields = fields(of: block, .health)
        require("exec", in: fields, hint: "exec = [\"./healthy.sh\"]")
        var check = SoftwareManifest.HealthCheck(exec: [])
        let exec = fields.pairs["exec"].flatMap { command($0) }
        if let pair = fields.pairs["every"], let every = period(pair) { check.every = every }
        if let pair = fields.pairs["timeout"], let timeout = timeout(pair) { check.timeout = timeout }
        if let pair = fields.pairs["failures"], let failures = integer(pair, in: 1...1000) { check.failures = failures }
        check.secrets = fields.pairs["secrets"].flatMap { secrets($0) }
        guard let exec else { return nil }
        check.exec = exec
        return check
    }

    private mutating func metrics(_ block: Block) -> SoftwareManifest.MetricsProbe? {
        let fields = fields(of: block, .metrics)
        require("exec", in: fields, hint: "exec = [\"./metrics.sh\"]")
        let exec = fields.pairs["exec"].flatMap { command($0) }
        let every = fields.pairs["every"].flatMap { period($0) }
        let secrets = fields.pairs["secrets"].flatMap { self.secrets($0) }
        guard let exec else { return nil }
        var probe = SoftwareManifest.MetricsProbe(exec: exec, secrets: secrets)
        if let every { probe.every = every }
        return probe
    }

    private mutating func hook(_ block: Block) -> SoftwareManifest.DrainHook? {
        let fields = fields(of: block, .hook)
        require("exec", in: fields, hint: "exec = [\"./\(block.keyword.text).sh\"]")
        let timeout = fields.pairs["timeout"].flatMap { self.timeout($0) } ?? SoftwareManifest.DrainHook.defaultTimeout
        let secrets = fields.pairs["secrets"].flatMap { self.secrets($0) }
        return fields.pairs["exec"].flatMap { command($0) }
            .map { SoftwareManifest.DrainHook(exec: $0, timeout: timeout, secrets: secrets) }
    }

    /// Names of variables, each once.
    private mutating func secrets(_ pair: Pair) -> [String]? {
        guard case .list(let elements, _, _) = pair.value.kind else {
            wrongType(pair.value, "secrets", expected: "a list of variables", hint: "write `secrets = [\"SIP_KEY\"]`")
            return nil
        }
        var names: [String] = []
        for element in elements {
            guard let name = string(element.value, key: "secrets") else { continue }
            if names.contains(name) {
                faults.add("duplicate-element", element.value.span, "`\(name.prefix(64))` is there already")
            } else if name.isEmpty || name.utf8.count > 128 || name.utf8.contains(UInt8(ascii: "=")) || !name.isPlain {
                faults.add("invalid-name", element.value.span, "not a variable's name", hint: "such as `\"SIP_KEY\"`")
            } else {
                names.append(name)
            }
        }
        return names.isEmpty ? nil : names
    }

    private mutating func limits(_ block: Block) -> SoftwareManifest.Limits? {
        let fields = fields(of: block, .limits)
        var limits = SoftwareManifest.Limits()
        if let pair = fields.pairs["memory"] { limits.memory = memory(pair) }
        if let pair = fields.pairs["cpu"] { limits.cpu = processors(pair) }
        limits.processes = fields.pairs["processes"].flatMap { integer($0, in: 1...1_000_000) }
        limits.files = fields.pairs["files"].flatMap { integer($0, in: 16...1_000_000) }
        return limits == SoftwareManifest.Limits() ? nil : limits
    }

    private mutating func memory(_ pair: Pair) -> Int? {
        guard case .size(let bytes, _) = pair.value.kind else {
            wrongType(pair.value, "memory", expected: "a size", hint: "such as `512MB` or `2GiB`")
            return nil
        }
        guard (1_000_000...1_000_000_000_000_000).contains(bytes) else {
            outOfRange(pair.value, "memory", "1MB to 1000000GB")
            return nil
        }
        return bytes
    }

    private mutating func processors(_ pair: Pair) -> Int? {
        guard case .percent(let percent, _) = pair.value.kind else {
            wrongType(pair.value, "cpu", expected: "a percentage", hint: "such as `50%`, or `200%` for two processors")
            return nil
        }
        guard let whole = Int(exactly: percent), (1...100_000).contains(whole) else {
            outOfRange(pair.value, "cpu", "1% to 100000%, without a fraction")
            return nil
        }
        return whole
    }

    private mutating func capabilities(_ pair: Pair) -> [String]? {
        guard case .list(let elements, _, _) = pair.value.kind else {
            wrongType(
                pair.value, "capabilities", expected: "a list of words",
                hint: "write `capabilities = [net_bind_service]`")
            return nil
        }
        let known = SoftwareManifest.knownCapabilities
        var names: [String] = []
        for element in elements {
            guard case .word(let word) = element.value.kind else {
                wrongType(element.value, "capabilities", expected: "a list of words", hint: "words without quotes")
                continue
            }
            if !known.contains(word) {
                let plain =
                    word.lowercased().hasPrefix("cap_") ? String(word.lowercased().dropFirst(4)) : word.lowercased()
                faults.add(
                    "unknown-word", element.value.span,
                    "software can have the capabilities \(Suggestion.list(known)), not `\(word.prefix(64))`",
                    hint: Suggestion.nearest(to: plain, among: known).map { "did you mean `\($0)`?" })
            } else if names.contains(word) {
                faults.add("duplicate-element", element.value.span, "`\(word)` is there already")
            } else {
                names.append(word)
            }
        }
        return names.isEmpty ? nil : names
    }
}
