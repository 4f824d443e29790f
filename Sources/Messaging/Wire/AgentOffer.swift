import Fleet
package import FoundationEssentials

/// Which agent a machine is to be, delivered as software is: in parts of a bundle that has one program, `trunkline-agent`.
package struct AgentOffer: Codable, Hashable, Sendable {
    package var version: String
    /// SHA-256 of the bundle.
    package var digest: String
    /// Of the bundle, in bytes.
    package var size: Int
    package var partSize: Int
    package var parts: Int
    package var contentKey: Data

    package init(version: String, digest: String, size: Int, partSize: Int, parts: Int, contentKey: Data) {
        self.version = version
        self.digest = digest
        self.size = size
        self.partSize = partSize
        self.parts = parts
        self.contentKey = contentKey
    }

    func check() throws(WireError) {
        try WireChecks.require(Name.isValidVersion(version), "the agent's version is not one")
        try WireChecks.digest(digest)
        try WireChecks.parts(parts, of: partSize, in: size)
        try WireChecks.require(contentKey.count == 32, "the content key does not have 32 bytes")
    }
}

extension WireChecks {
    static func parts(_ parts: Int, of partSize: Int, in size: Int) throws(WireError) {
        try count(size, "size")
        try require((1...(1 << 20)).contains(partSize), "the part size is out of range")
        let needed = size / partSize + (size % partSize == 0 ? 0 : 1)
        try require(parts == needed && parts <= PartRanges.mostParts, "the number of parts does not fit the size")
    }
}
