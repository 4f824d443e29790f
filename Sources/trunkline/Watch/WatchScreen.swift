import Client
import Fleet

/// A line on the screen, and how it is shown.
struct ScreenLine: Hashable {
    var text: String
    var colour: Terminal.Colour?
    var isSelected = false

    init(_ text: String, _ colour: Terminal.Colour? = nil, isSelected: Bool = false) {
        (self.text, self.colour, self.isSelected) = (text, colour, isSelected)
    }
}

/// What `trunkline watch` shows at a terminal. Pure: what happened and a size in, at most so many lines of at most so many characters out.
///
/// Only what fits is laid out; of the rest there are names and numbers.
struct WatchScreen {
    struct Size: Hashable {
        var columns: Int
        var rows: Int
    }

    /// What a key asks for that is not done on the screen.
    enum Wish: Hashable {
        case quit
        case explain(String)
        case logs(String)
        /// What was read for the machine is not looked at any more.
        case nothing
    }

    /// What stands in place of the table.
    private struct Page {
        var title: String
        var lines: [String]
        var top = 0
        /// New lines come, and the last are shown until a person moves.
        var isLive: Bool
    }

    /// Lines of a log that are kept to be looked through.
    private static let mostLines = 5000

    private(set) var picture = LivePicture()
    private let group: String?
    private var filter = ""
    private var isTyping = false
    private var page: Page?
    private var selected: String?
    private var top = 0
    /// Machines that pass the filter, in their order; nil: to be found anew.
    private var order: [String]?
    /// Of the table, as it was drawn last.
    private var room = 1
    private(set) var shown: [String] = []

    init(group: String?) { self.group = group }

    mutating func take(_ sight: TrunklineClient.Sight) {
        switch sight {
        case .item(.machine(let machine)) where filter.isEmpty && picture.machines[machine.id] != nil: break
        // Without a picture there is nothing to go by.
        case .item(.machine), .item(.removed), .item(.ready): order = nil
        default: break
        }
        picture.take(sight)
    }

    /// Of a machine that is shown; it may have gone since.
    mutating func take(pulse machine: MachineView) {
        if picture.machines[machine.id] != nil { take(.item(.machine(machine))) }
    }

    // MARK: Keys

    mutating func press(_ key: Key) -> Wish? {
        if isTyping {
            type(key)
            return nil
        }
        switch key {
        case .letter("q"), .escape:
            if page != nil {
                page = nil
                return .nothing
            }
            if key == .escape {
                (filter, order) = ("", nil)
                return nil
            }
            return .quit
        case .letter("/") where page == nil: isTyping = true
        case .letter("j"), .down: move(by: 1)
        case .letter("k"), .up: move(by: -1)
        case .pageDown, .letter(" "): move(by: room)
        case .pageUp: move(by: -room)
        case .letter("g"), .home: move(by: -Int.max / 2)
        case .letter("G"), .end: move(by: Int.max / 2)
        case .enter: return open(isLive: false).map { .explain($0) }
        case .letter("l"): return open(isLive: true).map { .logs($0) }
        default: break
        }
        return nil
    }

    private mutating func type(_ key: Key) {
        switch key {
        case .enter: isTyping = false
        case .escape: (isTyping, filter, order) = (false, "", nil)
        case .backspace:
            _ = filter.popLast()
            order = nil
        case .letter(let letter) where filter.count < 60:
            filter.append(letter)
            order = nil
        default: break
        }
    }

    private mutating func move(by count: Int) {
        if let page {
            let end = max(page.lines.count - room, 0)
            self.page?.top = min(max(page.top + count, 0), end)
            return
        }
        let order = machines()
        guard !order.isEmpty else { return }
        let now = selected.flatMap { order.firstIndex(of: $0) } ?? (count > 0 ? -1 : 0)
        selected = order[min(max(now + count, 0), order.count - 1)]
    }

    private mutating func open(isLive: Bool) -> String? {
        guard page == nil, let machine = selected ?? machines().first else { return nil }
        selected = machine
        page = Page(title: isLive ? "log of \(machine)" : machine, lines: ["…"], isLive: isLive)
        return machine
    }

    /// What was asked for; it replaces what stands there.
    mutating func show(page lines: [String]) {
        page?.lines = lines
        page?.top = 0
    }

    mutating func append(line: String) {
        guard var page, page.isLive else { return }
        let isAtEnd = page.top >= page.lines.count - room
        if page.lines == ["…"] { page.lines = [] }
        page.lines.append(line)
        if page.lines.count > Self.mostLines {
            page.lines.removeFirst(Self.mostLines / 10)
            page.top = max(page.top - Self.mostLines / 10, 0)
        }
        if isAtEnd { page.top = max(page.lines.count - room, 0) }
        self.page = page
    }

    // MARK: What is shown

    /// Who passes the filter, by group and place.
    private mutating func machines() -> [String] {
        if let order { return order }
        let wanted = filter.lowercased()
        let found = picture.machines.values.filter { machine in
            wanted.isEmpty
                || [machine.id, machine.group, machine.shownState, machine.software?.name ?? ""].contains {
                    $0.lowercased().contains(wanted)
                }
        }
        let order = found.sorted { ($0.group, $0.index, $0.id) < ($1.group, $1.index, $1.id) }.map(\.id)
        self.order = order
        return order
    }

    /// Exactly as many lines as the terminal has.
    mutating func lines(_ size: Size) -> [ScreenLine] {
        let size = Size(columns: max(size.columns, 1), rows: max(size.rows, 1))
        var lines = page.map { [ScreenLine($0.title, .bold)] } ?? heading(atMost: max(size.rows / 3, 1))
        let foot = foot()
        room = max(size.rows - lines.count - (page == nil ? 2 : 1), 1)
        if let page {
            let shown = page.lines.dropFirst(min(page.top, max(page.lines.count - room, 0))).prefix(room)
            lines += shown.map { ScreenLine($0) }
        } else {
            lines += table(size.columns)
        }
        lines = Array(lines.prefix(size.rows - 1))
        while lines.count < size.rows - 1 { lines.append(ScreenLine("")) }
        lines.append(foot)
        return lines.map { line in
            var line = line
            line.text = String(line.text.prefix(size.columns))
            return line
        }
    }

    /// The groups, and what holds; what does not fit is counted.
    private func heading(atMost limit: Int) -> [ScreenLine] {
        let groups = picture.groups.values.sorted { $0.name < $1.name }
        var lines = OutputOptions.holding(groups).map { ScreenLine($0, .red) }
        lines += groups.map { view in
            let waits = picture.rollouts[view.name]?.waits.map { "  waits for \($0)" } ?? ""
            let counts = "\(view.status.verified)/\(view.status.desired) verified"
            let what = "\(view.name)  \(view.service)  \(view.software)  revision \(view.revision)"
            return ScreenLine(
                "\(what)  \(view.status.phase.rawValue)  \(counts)\(waits)".forPeople(), view.status.phase.colour)
        }
        guard lines.count > limit else { return lines }
        return lines.prefix(limit - 1) + [ScreenLine("… \((lines.count - limit + 1).of("more group"))", .dim)]
    }

    private mutating func table(_ columns: Int) -> [ScreenLine] {
        let order = machines()
        if let selected, let place = order.firstIndex(of: selected) {
            top = min(max(top, place - room + 1), place)
        } else {
            // It is gone, or the filter leaves it out.
            selected = nil
        }
        top = min(max(top, 0), max(order.count - room, 0))
        shown = Array(order.dropFirst(top).prefix(room))
        let shown = shown.compactMap { picture.machines[$0] }
        let text = Table(columns: MachineView.columns(ofOne: group != nil)).text(shown, within: max(columns - 2, 1))
        let rows = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        return rows.enumerated().map { number, row in
            guard number > 0 else { return ScreenLine("  \(row)", .bold) }
            let machine = shown[number - 1]
            let isSelected = machine.id == selected
            return ScreenLine("\(isSelected ? "▸" : " ") \(row)", machine.colour, isSelected: isSelected)
        }
    }

    private func foot() -> ScreenLine {
        if let lost = picture.lost { return ScreenLine("not connected, trying again: \(lost)".forPeople(), .red) }
        if isTyping { return ScreenLine("/\(filter)▏  Enter keeps it, Esc takes it away") }
        if let page {
            let last = min(page.top + room, page.lines.count)
            return ScreenLine("\(last)/\(page.lines.count)  j/k move  q back", .dim)
        }
        guard picture.isWhole || !picture.machines.isEmpty else { return ScreenLine("waiting for the manager", .dim) }
        let count = order?.count ?? picture.machines.count
        let place = count > room ? "\(top + 1)–\(min(top + room, count)) of \(count)" : count.of("machine")
        let sieve = filter.isEmpty ? "" : "  with \"\(filter)\""
        return ScreenLine("\(place)\(sieve)  j/k move  Enter explain  l log  / filter  q quit".forPeople(), .dim)
    }
}

/// What was typed.
enum Key: Hashable {
    case letter(Character)
    case enter, escape, backspace, up, down, pageUp, pageDown, home, end

    /// Of what a terminal sent at once; what nobody needs is passed over.
    static func parse(_ bytes: [UInt8]) -> [Key] {
        var keys: [Key] = []
        var rest = bytes[...]
        while let byte = rest.first {
            rest.removeFirst()
            switch byte {
            case 0x1b where rest.first == UInt8(ascii: "[") || rest.first == UInt8(ascii: "O"):
                rest.removeFirst()
                let parameters = rest.prefix { $0 < 0x40 }
                rest = rest.dropFirst(parameters.count)
                guard let end = rest.popFirst() else { break }
                if let key = control(end, Array(parameters)) { keys.append(key) }
            case 0x1b: keys.append(.escape)
            case 0x0d, 0x0a: keys.append(.enter)
            case 0x7f, 0x08: keys.append(.backspace)
            case 0x20..<0x7f: keys.append(.letter(Character(UnicodeScalar(byte))))
            case 0x80...:
                let more = rest.prefix { $0 & 0xc0 == 0x80 }
                rest = rest.dropFirst(more.count)
                if let text = String(validating: [byte] + more, as: UTF8.self) {
                    keys += text.map { .letter($0) }
                }
            default: break
            }
        }
        return keys
    }

    private static func control(_ end: UInt8, _ parameters: [UInt8]) -> Key? {
        switch (UnicodeScalar(end), parameters.first.map { UnicodeScalar($0) }) {
        case ("A", _): .up
        case ("B", _): .down
        case ("H", _), ("~", "1"), ("~", "7"): .home
        case ("F", _), ("~", "4"), ("~", "8"): .end
        case ("~", "5"): .pageUp
        case ("~", "6"): .pageDown
        default: nil
        }
    }
}
