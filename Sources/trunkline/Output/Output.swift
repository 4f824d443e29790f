import ArgumentParser
import Fleet
import Foundation

/// Data goes to standard output through here, in one of two forms; everything else goes to standard error.
struct OutputOptions: ParsableArguments {
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case table, json
    }

    @Option(help: "Form of the output.")
    var format = Format.table

    @Flag(name: .shortAndLong, help: "Print names only, one a line.")
    var quiet = false

    /// A list: a table with a header, a JSON array, or names.
    func list<Item: Encodable>(_ items: [Item], columns: [Column<Item>], name: (Item) -> String) throws {
        if quiet {
            for item in items { StandardOutput.line(name(item).forPeople()) }
        } else if format == .json {
            try json(items)
        } else {
            StandardOutput.write(Table(columns: columns).text(items))
        }
    }

    /// One thing: lines of a label and a value, or a JSON object.
    func show<Item: Encodable>(_ item: Item, name: String, lines: [(String, String)]) throws {
        if quiet {
            StandardOutput.line(name.forPeople())
        } else if format == .json {
            try json(item)
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

    func text(_ items: [Item], paint: (Item, String) -> String = { $1 }) -> String {
        let rows = items.map { item in columns.map { $0.value(item).forPeople() } }
        let widths = columns.indices.map { index in
            (rows.map { $0[index].count } + [columns[index].title.count]).max() ?? 0
        }
        func line(_ cells: [String]) -> String {
            var text = ""
            for (index, cell) in cells.enumerated() {
                let last = index == cells.count - 1
                text += last ? cell : cell.padding(toLength: widths[index] + 2, withPad: " ", startingAt: 0)
            }
            return text
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
        isOutput && ProcessInfo.processInfo.environment["NO_COLOR"] == nil
        && ProcessInfo.processInfo.environment["TERM"] != "dumb"

    enum Colour: String {
        case green = "32", yellow = "33", red = "31", dim = "2", bold = "1"
    }

    static func paint(_ text: String, _ colour: Colour, on: Bool = colours) -> String {
        on ? "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m" : text
    }
}
