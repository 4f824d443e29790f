/// Why sealing or opening failed; it never carries a secret, nor tells an attacker which of his guesses was wrong.
package struct SealingError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What to tell apart in code; the set may grow.
    package struct Code: Hashable, Sendable {
        let name: String

        /// Bytes that are no key of the kind that was asked for.
        package static let malformedKey = Code(name: "malformed key")
        /// Another key, ticket, header or place than it was sealed for, or bytes that were changed on the way.
        package static let authenticationFailed = Code(name: "authentication failed")
        /// Something that cannot have been sealed at all: too short, or a part outside its bundle.
        package static let malformed = Code(name: "malformed")
        /// A file that could not be read.
        package static let unreadable = Code(name: "unreadable")
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
