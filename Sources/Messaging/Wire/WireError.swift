/// Why bytes that came over MQTT are not the message that their topic promises.
package struct WireError: Error, Hashable, Sendable, CustomStringConvertible {
    package struct Code: Hashable, Sendable {
        private let word: String
        private init(_ word: String) { self.word = word }

        package static let tooLarge = Code("too-large")
        /// Not JSON, a member is missing or of another type, or something stands where nothing may.
        package static let malformed = Code("malformed")
        /// A member's value is outside of what it may be.
        package static let outOfRange = Code("out-of-range")
        /// `v` is none that is spoken here.
        package static let unknownVersion = Code("unknown-version")
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
