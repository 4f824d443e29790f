/// Two texts line by line.
///
/// Where more than `most` lines differ in one stretch they are shown as replaced as a whole: finding the least difference takes time and
/// memory with the square of them, and nobody reads it.
struct LineDifference {
    static let most = 2000
    /// Lines shown around a difference.
    static let context = 3

    enum Line: Hashable {
        case same(Substring)
        case removed(Substring)
        case added(Substring)
    }

    let lines: [Line]

    init(from before: String, to after: String) {
        let (old, new) = (Self.split(before), Self.split(after))
        let begin = zip(old, new).prefix { $0 == $1 }.count
        let end = zip(old[begin...].reversed(), new[begin...].reversed()).prefix { $0 == $1 }.count
        lines =
            old[..<begin].map(Line.same) + Self.middle(old[begin..<old.count - end], new[begin..<new.count - end])
            + old.suffix(end).map(Line.same)
    }

    private static func split(_ text: String) -> [Substring] {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }

    private static func middle(_ old: ArraySlice<Substring>, _ new: ArraySlice<Substring>) -> [Line] {
        guard old.count + new.count <= most else { return old.map(Line.removed) + new.map(Line.added) }
        let difference = new.difference(from: old)
        let removed = Set(
            difference.removals.map { if case .remove(let place, _, _) = $0 { place } else { -1 } })
        let added = Set(
            difference.insertions.map { if case .insert(let place, _, _) = $0 { place } else { -1 } })
        var lines: [Line] = []
        var (left, right) = (0, 0)
        let (olds, news) = (Array(old), Array(new))
        while left < olds.count || right < news.count {
            if left < olds.count, removed.contains(left) {
                lines.append(.removed(olds[left]))
                left += 1
            } else if right < news.count, added.contains(right) {
                lines.append(.added(news[right]))
                right += 1
            } else {
                // What is neither is in both.
                if left < olds.count { lines.append(.same(olds[left])) }
                left += 1
                right += 1
            }
        }
        return lines
    }

    /// In the unified format, without file names; empty where nothing differs.
    var unified: String {
        let changed = lines.indices.filter { if case .same = lines[$0] { false } else { true } }
        guard !changed.isEmpty else { return "" }
        var hunks: [Range<Int>] = []
        for place in changed {
            let range = max(0, place - Self.context)..<min(lines.count, place + Self.context + 1)
            if let last = hunks.last, last.upperBound >= range.lowerBound {
                hunks[hunks.count - 1] = last.lowerBound..<range.upperBound
            } else {
                hunks.append(range)
            }
        }
        var text = ""
        var (left, right, at) = (1, 1, 0)
        for hunk in hunks {
            let skipped = hunk.lowerBound - at
            (left, right) = (left + skipped, right + skipped)
            var body = ""
            var (old, new) = (0, 0)
            for line in lines[hunk] {
                switch line {
                case .same(let line):
                    body += " \(line)\n"
                    (old, new) = (old + 1, new + 1)
                case .removed(let line):
                    body += "-\(line)\n"
                    old += 1
                case .added(let line):
                    body += "+\(line)\n"
                    new += 1
                }
            }
            // As diff(1) has it: an empty side is named by the line before it.
            text += "@@ -\(old == 0 ? left - 1 : left),\(old) +\(new == 0 ? right - 1 : right),\(new) @@\n" + body
            (left, right, at) = (left + old, right + new, hunk.upperBound)
        }
        return text
    }
}
