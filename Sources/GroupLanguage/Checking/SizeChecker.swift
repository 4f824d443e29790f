import Fleet

/// Sizes, as far as they are known without the values of secrets and facts.
extension Checker {
    static let fileHint = "put what is long into a file of the bundle, or fetch it when the software starts"

    /// What Linux would not pass to the software.
    mutating func require(_ name: String, bytes: Int, canBePassed value: Node) {
        guard reading != .stored, let fault = ProcessLimits.fault(ofVariable: name, bytes: bytes) else { return }
        faults.add("value-too-long", value.span, fault, hint: Self.fileHint)
    }

    /// What would not fit into an order whatever else stands in it. All else is the manager's to find, which knows the secrets, the software
    /// and the bytes of a whole order.
    mutating func require(_ variables: [(name: String, bytes: Int)], fitInOrder key: Key) {
        let total = variables.reduce(0) { $0 + $1.name.utf8.count + $1.bytes }
        // An order carries what is sealed in base64: 4 bytes for 3.
        guard reading != .stored, total > Order.largest / 4 * 3,
            variables.allSatisfy({ ProcessLimits.fault(ofVariable: $0.name, bytes: $0.bytes) == nil })
        else { return }
        faults.add(
            "order-too-large", key.span,
            "the variables have \(total) bytes, and an order to a machine carries less than \(Order.largest / 4 * 3)",
            hint: Self.fileHint)
    }
}

extension Expression {
    /// The bytes that an `env` value has at least.
    var literalBytes: Int {
        switch self {
        case .value(.string(let text)): text.utf8.count
        case .binary(.add, let left, let right): left.literalBytes + right.literalBytes
        default: 0
        }
    }
}
