import Foundation

/// How what one machine costs grows with the number of machines, as a picture: a line that stays level is what is wanted.
enum Growth {
    /// One quantity, for each number of machines.
    struct Line: Sendable {
        var title: String
        var unit: String
        var points: [(machines: Int, value: Double)]
    }

    private struct Quantity {
        var title: String
        var unit: String
        /// How its row's name ends.
        var row: String
        /// From the row's figure, for so many machines.
        var value: @Sendable (Double, Int) -> Double
    }

    private static let quantities = [
        Quantity(title: "CPU to register a machine", unit: "ms", row: "register, manager's CPU each") { value, _ in
            value
        },
        Quantity(title: "CPU of one heartbeat", unit: "µs", row: "idle, heartbeat 10 s, of a core") { value, count in
            // So much of a second of one core, over the heartbeats that come in it.
            value / 100 * 1e6 / (Double(count) / 10)
        },
        Quantity(title: "CPU to switch a machine", unit: "ms", row: "switch, manager's CPU each") { value, _ in value },
        Quantity(title: "a dead machine noticed after", unit: "ms", row: ", one of them dead: noticed, p50") {
            value, _ in
            value
        },
        Quantity(
            title: "drift to order among them, over the round trip", unit: "ms",
            row: "drift to order, p50 over the round trip"
        ) { value, _ in value },
        Quantity(title: "memory of a machine", unit: "KiB", row: ", manager's memory each") { value, _ in value },
    ]

    static func measure(_ counts: [Int]) async throws -> [Line] {
        var lines = quantities.map { Line(title: $0.title, unit: $0.unit, points: []) }
        for count in counts {
            say("\(count) machines …")
            var rows: [Row] = []
            try await Site.with {
                rows = try await fleetRows(
                    $0, machines: count,
                    ["registration", "memory", "idle", "drift among them", "dead among them", "switch"])
            }
            for (index, quantity) in quantities.enumerated() {
                guard let row = rows.first(where: { $0.what.hasSuffix(quantity.row) }) else {
                    throw BenchError("nothing was measured of: \(quantity.row)")
                }
                lines[index].points.append((count, quantity.value(row.value, count)))
            }
        }
        return lines
    }

    static func table(_ lines: [Line]) -> String {
        lines.map { line in
            let points = line.points.map { "\($0.machines) machines: \(text($0.value)) \(line.unit)" }
            return "\(line.title): " + points.joined(separator: ", ")
        }.joined(separator: "\n")
    }

    private static func text(_ value: Double) -> String { String(format: value < 10 ? "%.2f" : "%.1f", value) }

    /// Machines from left to right, by powers of ten; from 0 to the largest value upwards.
    static func picture(_ lines: [Line], of host: String) -> String {
        let (width, height, gap) = (320.0, 180.0, 40.0)
        var panels = ""
        for (index, line) in lines.enumerated() {
            let (left, top) = (gap + Double(index % 2) * (width + 2 * gap), 70 + Double(index / 2) * (height + 90))
            let most = max(line.points.map(\.value).max() ?? 1, .leastNonzeroMagnitude) * 1.25
            let logs = line.points.map { log10(Double($0.machines)) }
            let (first, last) = (logs.min() ?? 0, max(logs.max() ?? 1, (logs.min() ?? 0) + 1))
            let places = zip(line.points, logs).map { point, log in
                (
                    x: left + 20 + (log - first) / (last - first) * (width - 60),
                    y: top + height * (1 - point.value / most),
                    point: point
                )
            }
            panels += "<text x=\"\(left)\" y=\"\(top - 12)\" class=\"title\">\(line.title), \(line.unit)</text>\n"
            panels += "<path d=\"M\(left) \(top)v\(height)h\(width)\" class=\"axis\"/>\n"
            let path = places.map { String(format: "%.1f,%.1f", $0.x, $0.y) }.joined(separator: " ")
            panels += "<polyline points=\"\(path)\" class=\"line\"/>\n"
            for place in places {
                panels += String(
                    format: "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" class=\"dot\"/>\n", place.x, place.y)
                panels += String(
                    format: "<text x=\"%.1f\" y=\"%.1f\" class=\"value\">%@</text>\n", place.x, place.y - 10,
                    text(place.point.value))
                panels += String(
                    format: "<text x=\"%.1f\" y=\"%.1f\" class=\"value\">%@</text>\n", place.x, top + height + 18,
                    "\(place.point.machines)")
            }
        }
        let (whole, tall) = (2 * width + 4 * gap, 70 + Double((lines.count + 1) / 2) * (height + 90))
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(whole)) \(Int(tall))" role="img">
            <title>What one machine costs, by the number of machines</title>
            <style>
            text { font: 13px sans-serif; fill: #222 } .title { font-weight: bold } .value { text-anchor: middle; font-size: 12px }
            .axis { fill: none; stroke: #888 } .line { fill: none; stroke: #1667b8; stroke-width: 2 } .dot { fill: #1667b8 }
            @media (prefers-color-scheme: dark) { text { fill: #ddd } .line { stroke: #6ab0f3 } .dot { fill: #6ab0f3 } }
            </style>
            <text x="40" y="20" class="title">What one machine costs, by the number of machines</text>
            <text x="40" y="38">\(host)</text>
            \(panels)</svg>

            """
    }
}
