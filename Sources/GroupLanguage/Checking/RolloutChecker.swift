import Fleet

extension Checker {
    mutating func rollout(_ block: Block, machines: MachineSet?) -> RolloutPolicy {
        let fields = fields(of: block, .rollout)
        var rollout = RolloutPolicy()
        rollout.canary = canary(in: fields)
        if let pair = fields.pairs["batch"], let batch = batch(pair) { rollout.batch = batch }
        if let pair = fields.pairs["settle"], let settle = duration(pair, in: .zero ... .hours(1)) {
            rollout.settle = settle
        }
        // Somebody who asks for a long settle time alone does not ask for machines that can't be verified in time.
        rollout.within = max(rollout.within, rollout.settle * 2)
        if let pair = fields.pairs["within"], let within = duration(pair, in: .seconds(1) ... .hours(24)) {
            rollout.within = within
            if within <= rollout.settle {
                let enough = max(RolloutPolicy.defaultWithin, rollout.settle * 2)
                faults.add(
                    "within-settle", pair.value.span,
                    "no machine can be verified in time: it settles for \(rollout.settle)",
                    hint: "`within` is more than `settle`, such as \(enough)")
            }
        }
        if let pair = fields.pairs["max_failed"], let count = integer(pair, in: 0...MachineSet.most) {
            rollout.maxFailed = count
        }
        if let pair = fields.pairs["on_failure"] {
            let word = word(pair, among: RolloutPolicy.OnFailure.allCases.map(\.rawValue))
            rollout.onFailure = word.flatMap(RolloutPolicy.OnFailure.init) ?? rollout.onFailure
        }
        if let pair = fields.pairs["promote"] { rollout.promote = promote(pair, in: fields) ?? rollout.promote }
        if let pair = fields.pairs["delivery"] {
            let word = word(pair, among: RolloutPolicy.Delivery.allCases.map(\.rawValue))
            rollout.delivery = word.flatMap(RolloutPolicy.Delivery.init) ?? rollout.delivery
        }
        if let pair = fields.pairs["bandwidth"] { rollout.bandwidth = bandwidth(pair) }
        if let block = fields.blocks["drain"]?.first { rollout.drain = drain(block, machines: machines) }
        return rollout
    }

    // MARK: Canaries

    private mutating func canary(in fields: Fields) -> RolloutPolicy.Canary? {
        if let pair = fields.pairs["canary"] {
            return integer(pair, in: 1...MachineSet.most).map { RolloutPolicy.Canary(machines: $0) }
        }
        guard let block = fields.blocks["canary"]?.first else { return nil }
        let fields = self.fields(of: block, .canary)
        require("machines", in: fields, hint: "machines = 1")
        let count = fields.pairs["machines"].flatMap { integer($0, in: 1...MachineSet.most) }
        let holds = fields.pairs["for"].flatMap { duration($0, in: .zero ... .hours(24)) }
        let worse = fields.pairs["worse"].flatMap { self.worse($0.value) }
        return count.map { RolloutPolicy.Canary(machines: $0, holds: holds ?? .zero, worse: worse) }
    }

    private mutating func worse(_ node: Node) -> Expression? {
        guard let typed = condition(node, of: "worse", place: .canary) else { return nil }
        guard typed.isOfMachine else {
            faults.add(
                "not-of-machine", node.span, "`worse` is judged for each canary, but this speaks of none",
                hint: "such as `metric(\"errors\") > 2 * avg_of_rest(metric(\"errors\"))`")
            return nil
        }
        requireOfOne(typed)
        return typed.expression
    }

    private mutating func promote(_ pair: Pair, in fields: Fields) -> RolloutPolicy.Promote? {
        let word = word(pair, among: RolloutPolicy.Promote.allCases.map(\.rawValue))
        if !fields.seen.contains("canary"), reading != .stored {
            faults.add(
                "promote-without-canary", pair.key.span,
                "`promote` says who goes on after the canaries, and there are none", hint: "add `canary = 1`")
        }
        return word.flatMap(RolloutPolicy.Promote.init)
    }

    // MARK: Waves and delivery

    private mutating func batch(_ pair: Pair) -> RolloutPolicy.Batch? {
        if case .percent(let percent, _) = pair.value.kind {
            guard percent >= 1, percent <= 100 else {
                outOfRange(pair.value, "batch", "1% to 100%")
                return nil
            }
            return .percent(percent)
        }
        guard literal(pair.value) != nil else {
            wrongType(pair.value, "batch", expected: "a percentage or a count", hint: "such as `25%` or `2`")
            return nil
        }
        return integer(pair, in: 1...MachineSet.most).map(RolloutPolicy.Batch.count)
    }

    private mutating func bandwidth(_ pair: Pair) -> Int? {
        guard case .rate(let rate, _) = pair.value.kind else {
            if case .size(_, let text) = pair.value.kind {
                faults.add(
                    "unknown-unit", pair.value.span, "a rate is so much per second",
                    hint: "write `\(text.prefix(40))/s`")
                return nil
            }
            wrongType(pair.value, "bandwidth", expected: "a rate", hint: "such as `500kB/s` or `20MB/s`")
            return nil
        }
        guard rate >= 1, rate <= 1_000_000_000_000 else {
            outOfRange(pair.value, "bandwidth", "1B/s to 1000GB/s")
            return nil
        }
        return rate
    }

    // MARK: Draining

    private mutating func drain(_ block: Block, machines: MachineSet?) -> RolloutPolicy.Drain? {
        let fields = fields(of: block, .rolloutDrain)
        require("until", in: fields, hint: "until = metric(\"calls\") == 0")
        require("at_most", in: fields, hint: "at_most = 30m")
        let until = fields.pairs["until"].flatMap { condition($0.value, of: "until") }
        let longest = fields.pairs["at_most"].flatMap { duration($0, in: .milliseconds(1) ... .hours(720)) }
        let keep = fields.pairs["keep"].flatMap { integer($0, in: 0...MachineSet.most) }
        if let keep, keep > 0, let count = machines?.count, keep >= count, let pair = fields.pairs["keep"],
            reading != .stored
        {
            faults.add(
                "keep-of-all", pair.value.span, "no machine could ever be drained: the group has \(count)",
                hint: count > 1 ? "at most \(count - 1)" : "leave it out")
        }
        guard let until, let longest else { return nil }
        requireOfOne(until)
        return RolloutPolicy.Drain(until: until.expression, atMost: longest, keep: keep ?? 0)
    }
}
