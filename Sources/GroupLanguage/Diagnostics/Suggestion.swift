/// "Did you mean": the known word nearest to a wrong one.
package enum Suggestion {
    /// The nearest of `known` by edit distance, when it is near enough to be what was meant.
    package static func nearest(to word: String, among known: some Sequence<String>) -> String? {
        guard !word.isEmpty, word.utf8.count <= 64 else { return nil }
        let lower = word.lowercased()
        var best: (word: String, distance: Int)?
        for candidate in known {
            let distance = distance(Array(lower.utf8), Array(candidate.lowercased().utf8))
            guard distance <= max(1, min(lower.utf8.count, candidate.utf8.count) / 3) else { continue }
            if let found = best, found.distance <= distance { continue }
            best = (candidate, distance)
        }
        return best?.word
    }

    /// The sentence for people, or nil when nothing is near.
    static func hint(for word: String, among known: some Sequence<String>) -> String? {
        nearest(to: word, among: known).map { "did you mean `\($0)`?" }
    }

    /// The words as people list them: `a`, `b` or `c`.
    static func list(_ words: [String]) -> String {
        let quoted = words.map { "`\($0)`" }
        guard let last = quoted.last, quoted.count > 1 else { return quoted.first ?? "" }
        return quoted.dropLast().joined(separator: ", ") + " or " + last
    }

    /// Insertions, deletions, replacements and exchanges of neighbours that turn one into the other.
    static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var rows = [Array(0...right.count)]
        for i in 0..<left.count {
            var row = [i + 1]
            for j in 0..<right.count {
                var cost = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (left[i] == right[j] ? 0 : 1))
                if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                    cost = min(cost, rows[i - 1][j - 1] + 1)
                }
                row.append(cost)
            }
            rows.append(row)
        }
        return rows[left.count][right.count]
    }
}
