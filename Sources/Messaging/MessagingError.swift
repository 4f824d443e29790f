/// Why a message was not published or a filter not subscribed to.
package struct MessagingError: Error, Hashable, Sendable, CustomStringConvertible {
    package struct Code: Hashable, Sendable {
        private let word: String
        private init(_ word: String) { self.word = word }

        /// There is no connection now, and nothing was sent.
        package static let notConnected = Code("not-connected")
        /// The connection broke before the broker answered: it may or may not have the message.
        package static let connectionLost = Code("connection-lost")
        /// The broker said no.
        package static let refused = Code("refused")
        /// The topic, filter or payload is not allowed.
        package static let invalid = Code("invalid")
        /// libmosquitto failed, for example for want of memory.
        package static let failed = Code("failed")
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
