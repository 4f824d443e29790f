import Fleet

/// Why a bundle was not packed, not taken or not unpacked: which entry, and what is wrong with it, for people.
package struct BundleError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What to tell apart in code; the set may grow.
    package struct Code: Hashable, Sendable {
        let name: String

        /// The system would not read or write; the bundle itself may be good.
        package static let inputOutput = Code(name: "input/output")
        /// Not a whole gzip'd tar: damaged, cut off, or something else.
        package static let malformed = Code(name: "malformed")
        /// An entry that no bundle may have: a link, a device, a path that escapes, a name twice.
        package static let refused = Code(name: "refused")
        /// More entries, bytes or directories than a bundle may have.
        package static let tooLarge = Code(name: "too large")
        /// No readable `software.trunk` at the root.
        package static let noManifest = Code(name: "no manifest")
    }

    package let code: Code
    /// The entry's path as it stands in the bundle or the directory; nil when it is about the whole.
    package let entry: String?
    package let reason: String

    package init(_ code: Code, entry: String? = nil, _ reason: String) {
        self.code = code
        self.entry = entry
        self.reason = reason
    }

    /// One line; a hostile name cannot bring control characters into it.
    package var description: String {
        let reason = reason.forPeople()
        return entry.map { "\"\($0.forPeople(atMost: 300))\": \(reason)" } ?? reason
    }

    /// The same failure with the entry that was being read, unless it names one already.
    func naming(_ path: String?) -> Self { entry == nil ? Self(code, entry: path, reason) : self }
}
