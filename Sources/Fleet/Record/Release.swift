/// One revision of a group as machines can be asked to be.
package struct Release: Hashable, Sendable, Codable {
    /// The revision that first asked this of machines: the release's name.
    package var number: Int
    /// The newest revision that asks it.
    package var revision: Int
    package var definition: GroupDefinition
    /// Of the software that the definition named when it was accepted.
    package var manifest: SoftwareManifest
    /// SHA-256 of that software's bundle, hex.
    package var digest: String
    package var verdict: Verdict

    package init(
        number: Int, revision: Int, definition: GroupDefinition, manifest: SoftwareManifest, digest: String,
        verdict: Verdict = .untried
    ) {
        self.number = number
        self.revision = revision
        self.definition = definition
        self.manifest = manifest
        self.digest = digest
        self.verdict = verdict
    }
}

/// What came of a release when machines ran it.
package enum Verdict: Hashable, Sendable, Codable {
    case untried
    case good
    /// Why, for people, and when.
    case failed(reason: String, at: Timestamp)
}
