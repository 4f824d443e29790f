/// A set of part numbers, written as `0-57,60`.
///
/// Kept as sorted, disjoint, non-adjacent closed ranges, so that the common case (all up to some part) takes one.
package struct PartRanges: Hashable, Sendable {
    package private(set) var ranges: [ClosedRange<Int>]

    package init() { ranges = [] }
    package init(upTo count: Int) { ranges = count > 0 ? [0...(count - 1)] : [] }

    /// No bundle has more parts; bounds what a hostile text can make us hold.
    package static let mostParts = 1 << 20

    package var count: Int { ranges.reduce(0) { $0 + $1.count } }
    package var isEmpty: Bool { ranges.isEmpty }

    /// The index of the first range that ends at or after `part`.
    private func position(of part: Int) -> Int {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < part { low = middle + 1 } else { high = middle }
        }
        return low
    }

    package func contains(_ part: Int) -> Bool {
        let index = position(of: part)
        return index < ranges.count && ranges[index].contains(part)
    }

    package mutating func insert(_ part: Int) {
        guard part >= 0 else { return }
        let index = position(of: part)
        if index < ranges.count, ranges[index].contains(part) { return }
        let joinsNext = index < ranges.count && ranges[index].lowerBound == part + 1
        let joinsPrevious = index > 0 && ranges[index - 1].upperBound == part - 1
        switch (joinsPrevious, joinsNext) {
        case (true, true):
            ranges[index - 1] = ranges[index - 1].lowerBound...ranges[index].upperBound
            ranges.remove(at: index)
        case (true, false): ranges[index - 1] = ranges[index - 1].lowerBound...part
        case (false, true): ranges[index] = part...ranges[index].upperBound
        case (false, false): ranges.insert(part...part, at: index)
        }
    }

    /// Each number one higher.
    package var shifted: PartRanges {
        var shifted = self
        shifted.ranges = ranges.map { ($0.lowerBound + 1)...($0.upperBound + 1) }
        return shifted
    }

    /// Those of the other as well.
    package mutating func formUnion(_ other: PartRanges) {
        for range in other.ranges { for part in range { insert(part) } }
    }

    /// The lowest part from `start` on, below `count`, that is not in the set.
    package func firstMissing(from start: Int = 0, below count: Int) -> Int? {
        var candidate = start
        var index = position(of: start)
        while candidate < count {
            guard index < ranges.count, ranges[index].contains(candidate) else { return candidate }
            candidate = ranges[index].upperBound + 1
            index += 1
        }
        return nil
    }
}

extension PartRanges: CustomStringConvertible, LosslessStringConvertible {
    package var description: String {
        ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
    }

    /// Refuses what is not sorted, overlaps, or goes past `mostParts`.
    package init?(_ text: String) {
        var ranges: [ClosedRange<Int>] = []
        for piece in text.split(separator: ",", omittingEmptySubsequences: false) where !text.isEmpty {
            let ends = piece.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1] else { return nil }
            let previous = ranges.last?.upperBound ?? -2
            guard first >= 0, last >= first, last < Self.mostParts, first > previous + 1 else { return nil }
            ranges.append(first...last)
        }
        self.ranges = ranges
    }
}

extension PartRanges: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = Self(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not part ranges such as 0-57,60")
        }
        self = value
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
