/// What a bundle may be at most; checked while it streams, before anything is allocated or written for it.
package struct Limits: Hashable, Sendable {
    /// Files and directories, those that are only implied by a path included.
    package var entries: Int
    /// Bytes of all files together, unpacked.
    package var unpackedSize: Int
    /// Components of one path.
    package var depth: Int
    /// Bytes of one path.
    package var pathLength: Int
    /// Bytes of `software.trunk`.
    package var manifestSize: Int

    package init(
        entries: Int = 10_000, unpackedSize: Int = 1 << 30, depth: Int = 32, pathLength: Int = 255,
        manifestSize: Int = 262_144
    ) {
        self.entries = entries
        self.unpackedSize = unpackedSize
        self.depth = depth
        self.pathLength = pathLength
        self.manifestSize = manifestSize
    }

    package static let standard = Limits()
}
