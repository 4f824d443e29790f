import ArgumentParser
import Fleet
import Foundation

/// Data goes to standard output through here, in one of two forms; everything else goes to standard error.
struct OutputOptions: ParsableArguments {
    enum Format: String, ExpressibleByArgument, CaseIterable {
        /// `wide`: a table with all columns; `jsonl`: one object a line.
        case table, wide, json, jsonl
    }

    @Option(name: [.customShort("o"), .long], help: "Form of the output.")
    var format = Format.table

    var isJSON: Bool { format == .json || format == .jsonl }

    /// Whether a person reads it.
    var isForPeople: Bool { !quiet && !isJSON }

    @Flag(name: .shortAndLong, help: "Print names only, one a line.")
    var quiet = false

    /// A list: a table with a header, a JSON array, or names.
    func list<Item: Encodable>(_ items: [Item], columns: [Column<Item>], name: (Item) -> String) throws {
        if quiet {
            for item in items { StandardOutput.line(name(item).forPeople()) }
        } else if format == .json {
            try json(items)
        } else if format == .jsonl {
            for item in items { try jsonLine(item) }
        } else {
            StandardOutput.write(Table(columns: columns).text(items, within: Terminal.width))
        }
    }

    /// One thing: lines of a label and a value, or a JSON object.
    func show<Item: Encodable>(_ item: Item, name: String, lines: [(String, String)]) throws {
        if quiet {
            StandardOutput.line(name.forPeople())
        } else if format == .json {
            try json(item)
        } else if format == .jsonl {
            try jsonLine(item)
        } else {
            let width = lines.map(\.0.count).max() ?? 0
            for (label, value) in lines where !value.isEmpty {
                let indented = value.replacingOccurrences(
                    of: "\n", with: "\n" + String(repeating: " ", count: width + 2))
                StandardOutput.line(label.padding(toLength: width + 2, withPad: " ", startingAt: 0) + indented)
            }
        }
    }

    func json(_ item: some Encodable, _ formatting: JSONEncoder.OutputFormatting = .prettyPrinted) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, formatting]
        StandardOutput.line(String(decoding: try encoder.encode(item), as: UTF8.self).plainJSON)
    }

    /// One object a line.
    func jsonLine(_ item: some Encodable) throws { try json(item, []) }
}

/// One column of a table.
struct Column<Item> {
    var title: String
    var value: (Item) -> String
    init(_ title: String, _ value: @escaping (Item) -> String) {
        self.title = title
        self.value = value
    }
}

/// Aligned text columns; whatever a cell says, it stays in its row.
struct Table<Item> {
    var columns: [Column<Item>]

    /// - Parameter limit: no line is longer: the widest columns behind the first are cut, and what was cut ends with `…`; nil: nothing is cut.
    func text(_ items: [Item], within limit: Int? = nil, paint: (Item, String) -> String = { $1 }) -> String {
        let rows = items.map { item in columns.map { $0.value(item).forPeople() } }
        var widths = columns.indices.map { index in
            (rows.map { $0[index].count } + [columns[index].title.count]).max() ?? 0
        }
        if let limit {
            // Two spaces between columns. Who it is stays, and of the others some letters.
            while widths.reduce(0, +) + 2 * (widths.count - 1) > limit,
                let widest = widths.indices.dropFirst().max(by: { widths[$0] < widths[$1] }), widths[widest] > 4
            { widths[widest] -= 1 }
        }
        func line(_ cells: [String]) -> String {
            var text = ""
            for (index, cell) in cells.enumerated() {
                let last = index == cells.count - 1
                let cell = cell.count > widths[index] ? cell.prefix(max(widths[index] - 1, 0)) + "…" : cell[...]
                text += last ? String(cell) : cell.padding(toLength: widths[index] + 2, withPad: " ", startingAt: 0)
            }
            return limit.map { String(text.prefix($0)) } ?? text
        }
        var text = line(columns.map { $0.title.uppercased() }) + "\n"
        for (item, row) in zip(items, rows) { text += paint(item, line(row)) + "\n" }
        return text
    }
}

/// Whether a stream is a terminal, and how to colour on it (NO_COLOR is respected).
enum Terminal {
    static let isOutput = isatty(STDOUT_FILENO) == 1
    static let isError = isatty(STDERR_FILENO) == 1
    static let colours =
        isOutput && Variables.set["NO_COLOR"] == nil
        && ProcessInfo.processInfo.environment["TERM"] != "dumb"

    /// Whether lines that stand there already can be written anew.
    static let redraws = isOutput && ProcessInfo.processInfo.environment["TERM"] != "dumb"

    /// Characters in a line; nil: it is no terminal, or does not say so.
    static var width: Int? { size.map { Int($0.ws_col) }.flatMap { $0 > 0 ? $0 : nil } }

    /// Lines; nil: it is no terminal, or does not say so.
    static var height: Int? { size.map { Int($0.ws_row) }.flatMap { $0 > 0 ? $0 : nil } }

    private static var size: winsize? {
        var size = winsize()
        return isOutput && ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 ? size : nil
    }

    enum Colour: String {
        case green = "32", yellow = "33", red = "31", blue = "34", magenta = "35", cyan = "36", dim = "2", bold = "1"
    }

    static func paint(_ text: String, _ colour: Colour, on: Bool = colours) -> String {
        on ? "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m" : text
    }
}
