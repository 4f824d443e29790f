package import Fleet
package import FoundationEssentials

/// A status as it came: the bytes that its MAC covers and the MAC, found by their place, to be checked before anything is read.
package struct SignedStatus: Sendable {
    private let tail: SealedTail

    package init(_ payload: Data) throws(WireError) {
        try WireChecks.size(payload, atMost: StatusMessage.largest)
        tail = try SealedTail(payload, keys: ["mac"], limits: [32])
        try WireChecks.require(tail.values[0].count == 32, "the MAC does not have 32 bytes")
    }

    package var signed: ArraySlice<UInt8> { tail.bytes[..<tail.start] }
    package var mac: Data { tail.values[0] }

    /// What it says, everything but the MAC checked.
    package func status() throws(WireError) -> Status {
        // Statuses are most of what a manager reads: what our agents write is read without building a tree of it first.
        if let json = StatusJSON(canonical: tail.bytes, upTo: tail.start) { return try json.status() }
        return try decodedStatus()
    }

    /// The same by a decoder that takes JSON in every form.
    package func decodedStatus() throws(WireError) -> Status {
        try WireChecks.decode(StatusJSON.self, tail.object).status()
    }
}
