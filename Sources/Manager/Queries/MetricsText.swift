import Fleet

/// Writes the Prometheus text format, version 0.0.4: each family once, with its help and its type.
struct MetricsText {
    enum Kind: String {
        case counter, gauge, histogram
    }

    private(set) var text = ""

    /// - Parameter prefix: of the name; what every program has, has none.
    mutating func family(
        _ name: String, _ kind: Kind, _ help: String, prefix: String = "trunkline_",
        _ samples: [([String: String], Double)]
    ) {
        let name = prefix + name
        text += "# HELP \(name) \(help.escaped(quotes: false))\n# TYPE \(name) \(kind.rawValue)\n"
        for (labels, value) in samples {
            let pairs = labels.sorted { $0.key < $1.key }.map { "\($0.key)=\"\($0.value.escaped(quotes: true))\"" }
            text += name + (pairs.isEmpty ? "" : "{\(pairs.joined(separator: ","))}") + " \(number(value))\n"
        }
    }

    mutating func gauge(_ name: String, _ help: String, _ value: Double) { family(name, .gauge, help, [([:], value)]) }

    mutating func counter(_ name: String, _ help: String, _ value: Int) {
        family(name, .counter, help, [([:], Double(value))])
    }

    /// Every bucket counts what is in those before it, too.
    mutating func histogram(_ name: String, _ help: String, _ histogram: Histogram) {
        family(name, .histogram, help, [])
        let name = "trunkline_" + name
        var count = 0
        for (bound, inside) in zip(Histogram.bounds + [.infinity], histogram.counts) {
            count += inside
            text += "\(name)_bucket{le=\"\(number(bound))\"} \(count)\n"
        }
        text += "\(name)_sum \(number(histogram.sum))\n\(name)_count \(count)\n"
    }

    /// Whole numbers without a fraction.
    private func number(_ value: Double) -> String {
        guard value.isFinite else { return value.isNaN ? "NaN" : value > 0 ? "+Inf" : "-Inf" }
        return value == value.rounded() && abs(value) < 9e15 ? "\(Int64(value))" : "\(value)"
    }
}

extension String {
    fileprivate func escaped(quotes: Bool) -> String {
        var escaped = ""
        for letter in unicodeScalars {
            switch letter {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            case _ where !letter.isPlain: escaped += "\u{fffd}"
            default: escaped.unicodeScalars.append(letter)
            }
        }
        return escaped
    }
}
