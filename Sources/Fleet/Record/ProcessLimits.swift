/// What Linux passes to a program that it starts.
package enum ProcessLimits {
    /// Bytes of one variable or argument, its end included: `MAX_ARG_STRLEN`.
    package static let longestString = 32 * 4096
    /// Bytes of all of them together that a record may ask for: half of what a program gets under the usual stack of 8 MiB.
    package static let mostBytes = 1 << 20

    /// Bytes that a variable of this name may have.
    package static func longestValue(of name: String) -> Int { longestString - name.utf8.count - 2 }

    /// Why Linux would not start a program with it; nil where it would.
    package static func fault(
        of environment: [String: String], arguments: [String], atMost mostBytes: Int = mostBytes
    ) -> String? {
        for (name, value) in environment.sorted(by: { $0.key < $1.key }) {
            if let fault = fault(ofVariable: name, bytes: value.utf8.count) { return fault }
        }
        for argument in arguments {
            if let fault = fault(ofArgument: argument) { return fault }
        }
        // Each with its end and a pointer to it; some room for the program's name and the vector of the kernel itself.
        let sizes =
            environment.map { $0.key.utf8.count + $0.value.utf8.count + 10 } + arguments.map { $0.utf8.count + 9 }
        let total = sizes.reduce(4096, +)
        guard total <= mostBytes else {
            return "environment and arguments have \(total) bytes, and Linux passes at most \(mostBytes)"
        }
        return nil
    }

    package static func fault(ofVariable name: String, bytes: Int) -> String? {
        guard bytes > longestValue(of: name) else { return nil }
        return "the variable \(name) has \(bytes) bytes, and Linux passes at most \(longestValue(of: name))"
    }

    package static func fault(ofArgument argument: String) -> String? {
        guard argument.utf8.count >= longestString else { return nil }
        return "an argument has \(argument.utf8.count) bytes, and Linux passes at most \(longestString - 1)"
    }
}
