import Foundation

/// `make bench`: what Trunkline adds to a bare broker, measured in one run on one machine. Ratios hold better than figures.
@main
struct Bench {
    static func main() async {
        do {
            var rows: [Row] = []
            try await Site.with { site in
                say("statuses …")
                rows += try await statusRows(site)
                say("drift to order …")
                rows += try await driftRows(site)
            }
            try await Site.with(secure: true) { site in
                say("floods at the door …")
                rows += try await floodRows(site)
            }
            for count in [1, 5, 20] {
                try await Site.with { site in
                    say("50 MiB to \(count) …")
                    rows += try await deliveryRows(site, agents: count)
                }
            }
            print("")
            Row.show(rows)
        } catch {
            FileHandle.standardError.write(Data("bench: \(error)\n".utf8))
            exit(1)
        }
    }
}

/// Progress, on standard error.
private func say(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

/// One line of the result.
struct Row {
    var what: String
    var bare: String
    var trunkline: String
    /// Trunkline's share of the bare broker's speed, or how many times its time; nil where there is nothing to compare with.
    var ratio: Double?

    static func show(_ rows: [Row]) {
        let table =
            [["", "bare broker", "Trunkline", "ratio"]]
            + rows.map { row in
                [row.what, row.bare, row.trunkline, row.ratio.map { String(format: "%.2f", $0) } ?? ""]
            }
        let widths = (0..<4).map { column in table.map { $0[column].count }.max() ?? 0 }
        for line in table {
            print(
                line.enumerated().map { index, cell in
                    index == 0
                        ? cell.padding(toLength: widths[0], withPad: " ", startingAt: 0)
                        : String(repeating: " ", count: widths[index] - cell.count) + cell
                }.joined(separator: "  "))
        }
    }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
    var inMilliseconds: String { String(format: "%.2f ms", inSeconds * 1000) }
}
