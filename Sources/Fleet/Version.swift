/// Of all programs of Trunkline; they are released together.
package enum Version {
    package static let text = "0.1.0"
}

/// The versions of the wire (DESIGN.md §3, Versions). Each side says which it speaks, and the highest that both know is spoken.
package enum WireVersion {
    /// Ascending. Wire 1 was never released.
    package static let spoken = [2]
    package static let newest = 2
    /// So many are looked at of what somebody says that he speaks.
    package static let most = 16

    /// The highest that both know; nil where there is none. Whoever says nothing speaks the first that was released.
    package static func common(with others: [Int]?) -> Int? {
        Set(others ?? [2]).intersection(spoken).max()
    }

    /// Without what cannot be a version, in order, each once: from whoever says that he speaks them.
    package static func plausible(_ versions: [Int]) -> [Int] {
        // As every agent says them.
        if versions == spoken { return spoken }
        return Array(Set(versions.filter { (1...9999).contains($0) }).sorted().suffix(most))
    }
}
