/// Texts that thousands of machines have in common, such as the digest of what they run: kept once, not with each of them.
package struct SharedTexts: Sendable {
    /// Beyond so many it begins anew; what has a text keeps it.
    private static let most = 4096

    private var texts: Set<String> = []

    package init() {}

    package var count: Int { texts.count }

    /// The same text, of which there is one.
    package mutating func one(_ text: String) -> String {
        // Those have no memory of their own.
        guard text.utf8.count > 15 else { return text }
        if texts.count >= Self.most { texts = [] }
        return texts.insert(text).memberAfterInsert
    }
}
