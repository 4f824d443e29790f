import Foundation

/// One thing that was measured, once.
struct Row: Sendable {
    enum Unit: String, Sendable {
        case perSecond = "/s"
        case milliseconds = "ms"
        case seconds = "s"
        case percent = "%"
        case mebibytes = "MiB"
        case kibibytes = "KiB"
        case times = "×"
        case none = ""
    }

    /// What it is to be; `ratio`: of Trunkline's figure to the baseline's.
    enum Goal: Sendable {
        case atMost(Double)
        case atLeast(Double)
        case ratioAtMost(Double)
        case ratioAtLeast(Double)
    }

    var what: String
    /// Of the same thing without Trunkline, in the same run; nil: there is no such thing.
    var baseline: Double?
    var value: Double
    var unit: Unit
    var goal: Goal?

    init(_ what: String, baseline: Double? = nil, _ value: Double, _ unit: Unit, goal: Goal? = nil) {
        self.what = what
        self.baseline = baseline
        self.value = value
        self.unit = unit
        self.goal = goal
    }

    init(_ what: String, baseline: Duration? = nil, _ value: Duration, _ unit: Unit, goal: Goal? = nil) {
        func number(_ time: Duration) -> Double { unit == .milliseconds ? time.inSeconds * 1000 : time.inSeconds }
        self.init(what, baseline: baseline.map(number), number(value), unit, goal: goal)
    }
}

/// One thing that was measured as often as was asked for. The middle one of the figures counts.
struct Measured: Sendable {
    var first: Row
    var values: [Double]
    var baselines: [Double]

    static func add(_ row: Row, to results: inout [Measured]) {
        if let index = results.firstIndex(where: { $0.first.what == row.what }) {
            results[index].values.append(row.value)
            if let baseline = row.baseline { results[index].baselines.append(baseline) }
        } else {
            results.append(Measured(first: row, values: [row.value], baselines: row.baseline.map { [$0] } ?? []))
        }
    }

    static func middle(_ values: [Double]) -> Double? {
        values.isEmpty ? nil : values.sorted()[values.count / 2]
    }

    var value: Double { Self.middle(values) ?? 0 }
    var baseline: Double? { Self.middle(baselines) }

    /// Of each round by itself, since what disturbs one disturbs both of its figures.
    var ratio: Double? {
        guard values.count == baselines.count else { return nil }
        return Self.middle(zip(values, baselines).filter { $1 > 0 }.map { $0 / $1 })
    }

    /// Nil: there is no goal.
    var isMet: Bool? {
        switch first.goal {
        case .atMost(let limit): value <= limit
        case .atLeast(let limit): value >= limit
        case .ratioAtMost(let limit): ratio.map { $0 <= limit }
        case .ratioAtLeast(let limit): ratio.map { $0 >= limit }
        case nil: nil
        }
    }

    /// Half of what lies between the least and the most, of the middle; nothing where it was measured once.
    var spread: String {
        guard values.count > 1, let least = values.min(), let most = values.max(), value != 0 else { return "" }
        return String(format: "±%.0f %%", (most - least) / 2 / abs(value) * 100)
    }

    private func text(_ number: Double) -> String {
        let digits = abs(number) >= 100 || number == number.rounded() ? "%.0f" : "%.2f"
        return String(format: digits, number) + (first.unit.rawValue.isEmpty ? "" : " \(first.unit.rawValue)")
    }

    private var goal: String {
        switch first.goal {
        case .atMost(let limit): "≤ \(text(limit))"
        case .atLeast(let limit): "≥ \(text(limit))"
        case .ratioAtMost(let limit): String(format: "ratio ≤ %.2f", limit)
        case .ratioAtLeast(let limit): String(format: "ratio ≥ %.2f", limit)
        case nil: ""
        }
    }

    static let titles = ["", "baseline", "Trunkline", "ratio", "spread", "goal", "met"]

    var cells: [String] {
        [
            first.what, baseline.map(text) ?? "", text(value), ratio.map { String(format: "%.2f", $0) } ?? "", spread,
            goal, isMet.map { $0 ? "yes" : "no" } ?? "",
        ]
    }

    static func table(_ results: [Measured]) -> String {
        let lines = [titles] + results.map(\.cells)
        let widths = titles.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { line in
            line.enumerated().map { index, cell in
                let padding = String(repeating: " ", count: widths[index] - cell.count)
                return index == 0 ? cell + padding : padding + cell
            }.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}

/// The last result of each row, kept in the repository with what it was measured on.
enum Record {
    /// Lines of the rows that were measured now take the place of those with the same name; the others stay.
    static func write(_ results: [Measured], machines: Int, to file: URL) throws {
        let head = "| " + Measured.titles.joined(separator: " | ") + " |"
        let rule = "|" + Measured.titles.map { _ in " --- |" }.joined()
        func name(_ line: String) -> String { String(line.split(separator: "|").first ?? "") }
        var lines: [String] = []
        if let text = try? String(contentsOf: file, encoding: .utf8) {
            lines = text.split(separator: "\n").map(String.init).filter {
                $0.hasPrefix("| ") && !$0.hasPrefix("|  |") && !$0.hasPrefix("| ---")
            }
        }
        for result in results {
            let line = "| " + result.cells.joined(separator: " | ") + " |"
            if let index = lines.firstIndex(where: { name($0) == name(line) }) {
                lines[index] = line
            } else {
                lines.append(line)
            }
        }
        let text = """
            # What was measured last

            `make bench RECORD=1` writes this; `ROW=…` measures and replaces some of the rows. Measured on:
            \(try Host.description).

            \(head)
            \(rule)
            \(lines.joined(separator: "\n"))

            """
        try text.write(to: file, atomically: true, encoding: .utf8)
        say("kept in \(file.lastPathComponent)")
    }
}

/// What a result was measured on; nothing that tells whose machine it is.
enum Host {
    static var description: String {
        get throws {
            func first(_ file: String, _ key: String) -> String? {
                let text = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
                return text.split(separator: "\n").first { $0.hasPrefix(key) }
                    .flatMap { $0.split(whereSeparator: { $0 == ":" || $0 == "=" }).dropFirst().first }
                    .map { $0.trimmingCharacters(in: CharacterSet(charactersIn: " \t\"")) }
            }
            let cores = ProcessInfo.processInfo.activeProcessorCount
            let memory = Int((Double(ProcessInfo.processInfo.physicalMemory) / 1_073_741_824).rounded())
            let system = first("/etc/os-release", "PRETTY_NAME") ?? "an unknown system"
            let kernel = try String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            let processor = first("/proc/cpuinfo", "model name") ?? "an unknown processor"
            return "\(cores) cores (\(processor)), \(memory) GiB, \(system), Linux \(kernel), \(try broker())"
        }
    }

    private static func broker() throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "PATH=$PATH:/usr/sbin:/usr/local/sbin mosquitto -h"]
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        let version = output.split(separator: "\n").first.map(String.init) ?? ""
        return version.replacing("mosquitto version", with: "Mosquitto")
    }
}
