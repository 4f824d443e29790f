import Fleet

/// What rules can ask besides facts and metrics.
extension ExpressionChecker {
    mutating func rate(_ name: Key, _ arguments: [Node], _ node: Node) -> Typed? {
        guard arguments.count == 1, case .call(let inner, let names) = arguments[0].kind, inner.text == "metric" else {
            if !arguments.contains(where: \.isMissing) {
                faults.add(
                    "wrong-arguments", name.span, "`rate` takes a metric that counts up",
                    hint: "write `rate(metric(\"calls_total\"))`")
            }
            return nil
        }
        guard let typed = call(inner, names, arguments[0]), case .metric(let metric) = typed.expression else {
            return nil
        }
        return Typed(expression: .rate(metric), kind: .number, isOfMachine: true)
    }

    mutating func restarts(_ name: Key, _ arguments: [Node], _ node: Node) -> Typed? {
        guard place != .environment else {
            faults.add(
                "changing-fact", node.span,
                "`restarts` changes while the software runs, so it cannot stand in `env`")
            return nil
        }
        guard arguments.count == 1, case .duration(let span, _) = arguments[0].kind else {
            if !arguments.contains(where: \.isMissing) {
                faults.add(
                    "wrong-arguments", name.span, "`restarts` takes the time in which they are counted",
                    hint: "write `restarts(10m)`")
            }
            return nil
        }
        guard span >= .seconds(1), span <= .hours(24) else {
            faults.add("out-of-range", arguments[0].span, "`restarts` counts over 1s to 24h")
            return nil
        }
        guard !isInAggregate else {
            faults.add(
                "wrong-arguments", name.span,
                "`restarts` changes with time alone, and cannot stand inside of an aggregate",
                hint: "`software.restarts` can")
            return nil
        }
        return Typed(expression: .restarts(span), kind: .number, isOfMachine: true)
    }

    mutating func label(_ name: Key, _ arguments: [Node]) -> Typed? {
        guard let label = text(name, arguments, example: "machine.label(\"site\")") else { return nil }
        guard Checker.isLabel(label) else {
            faults.add(
                "invalid-name", arguments[0].span, "not a valid name of a label", hint: Checker.labelRule)
            return nil
        }
        return Typed(expression: .label(label), kind: .string)
    }

    mutating func window(_ window: Window, _ zone: Span, _ node: Node) -> Typed? {
        guard place != .environment else {
            faults.add(
                "changing-fact", node.span,
                "a window opens and closes while the software runs, so it cannot stand in `env`")
            return nil
        }
        guard !isInAggregate else {
            faults.add(
                "changing-fact", node.span,
                "a window opens without the machine, so it cannot stand inside of an aggregate",
                hint: "write it beside the aggregate, with `&&`")
            return nil
        }
        guard window.from != window.to else {
            faults.add(
                "empty-window", node.span, "this window ends when it begins",
                hint: "leave it out for the whole day")
            return nil
        }
        let parts = window.zone.split(separator: "/", omittingEmptySubsequences: false)
        let isZone =
            window.zone.utf8.count <= 64 && (1...3).contains(parts.count)
            && parts.allSatisfy { part in
                part.utf8.first?.beginsWord == true
                    && part.utf8.allSatisfy { $0.continuesWord || "+-".utf8.contains($0) }
            }
        guard isZone else {
            faults.add(
                "invalid-zone", zone, "not a name of a time zone",
                hint: "one of the time zone database, such as `\"Europe/Paris\"` or `\"UTC\"`")
            return nil
        }
        return Typed(expression: .window(window), kind: .bool)
    }

    mutating func aggregate(_ aggregate: Aggregate, _ name: Key, _ arguments: [Node]) -> Typed? {
        let example = aggregate == .count ? "count(machine.state == away)" : "\(aggregate.rawValue)(metric(\"calls\"))"
        guard place != .environment else {
            faults.add(
                "changing-fact", name.span,
                "`\(name.text)` changes while the software runs, so it cannot stand in `env`")
            return nil
        }
        guard aggregate != .averageOfRest || place == .canary else {
            faults.add(
                "misplaced-aggregate", name.span, "only a canary's `worse` knows who the rest is",
                hint: "write `\(Aggregate.average.rawValue)` for the average of all")
            return nil
        }
        guard arguments.count == 1 else {
            faults.add("wrong-arguments", name.span, "`\(name.text)` takes one value", hint: "write `\(example)`")
            return nil
        }
        guard !isInAggregate else {
            faults.add("wrong-arguments", name.span, "`\(name.text)` cannot stand inside another one of its kind")
            return nil
        }
        isInAggregate = true
        defer { isInAggregate = false }
        guard let inner = check(arguments[0]),
            expect(aggregate == .count ? .bool : .number, inner, arguments[0], "`\(name.text)`")
        else { return nil }
        guard inner.isOfMachine else {
            faults.add(
                "not-of-machine", arguments[0].span, "`\(name.text)` goes over machines, but this is the same for all",
                hint: "write `\(example)`")
            return nil
        }
        return Typed(
            expression: .aggregate(aggregate, inner.expression), kind: .number,
            aggregate: aggregate == .averageOfRest ? nil : name)
    }
}
