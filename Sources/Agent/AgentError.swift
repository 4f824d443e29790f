/// Why the agent cannot do something.
package struct AgentError: Error, Hashable, Sendable, CustomStringConvertible {
    package struct Code: Hashable, Sendable {
        private let word: String
        private init(_ word: String) { self.word = word }

        /// The command line makes no sense.
        package static let usage = Code("usage")
        /// The boot ticket cannot be used.
        package static let ticket = Code("ticket")
        /// What stands in the state directory cannot be used.
        package static let state = Code("state")
        /// Who this machine is cannot be told any more: starting again does not help.
        package static let identity = Code("identity")
        /// Another agent owns the state directory.
        package static let owned = Code("owned")
        /// A system call failed.
        package static let system = Code("system")
        /// The bundle is not on this machine, or not as it was ordered.
        package static let bundle = Code("bundle")
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
