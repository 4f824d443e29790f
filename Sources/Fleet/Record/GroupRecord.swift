/// A group as the manager keeps it: the definition in force and what the user asked to do with it.
package struct GroupRecord: Hashable, Sendable {
    package enum Run: String, Hashable, Sendable, Codable {
        /// Created, never started.
        case defined
        case running
        case stopped
    }

    package var definition: GroupDefinition
    /// Counts the record's revisions from 1.
    package var revision: Int
    /// Of the software that the definition names.
    package var digest: String
    package var manifest: SoftwareManifest
    package var run: Run
    /// While paused no rule of the group acts.
    package var paused: Bool
    /// The next machine gets the id `<group>-<serial>`; only ever grows.
    package var nextSerial: Int

    package init(
        definition: GroupDefinition, revision: Int, digest: String, manifest: SoftwareManifest, run: Run = .defined,
        paused: Bool = false, nextSerial: Int = 1
    ) {
        self.definition = definition
        self.revision = revision
        self.digest = digest
        self.manifest = manifest
        self.run = run
        self.paused = paused
        self.nextSerial = nextSerial
    }

    package var name: String { definition.name }
}
