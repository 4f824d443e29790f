/// A group as the manager keeps it: the definition in force and what the user asked to do with it.
package struct GroupRecord: Hashable, Sendable, Codable {
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
    /// The release that machines are to come to: the revision that first asked this of them. 0: this revision.
    package var release: Int
    /// How often all of its software was asked to start anew: by a person, or by a secret that was set.
    package var turn: Int
    /// Who asked for what it says last: `user NAME`, `rule NAME`, `manager`.
    package var by: String

    package init(
        definition: GroupDefinition, revision: Int, digest: String, manifest: SoftwareManifest, run: Run = .defined,
        paused: Bool = false, nextSerial: Int = 1, release: Int = 0, turn: Int = 0,
        by: String = "manager"
    ) {
        self.definition = definition
        self.revision = revision
        self.digest = digest
        self.manifest = manifest
        self.run = run
        self.paused = paused
        self.nextSerial = nextSerial
        self.release = release == 0 ? revision : release
        self.turn = turn
        self.by = by
    }

    package var name: String { definition.name }
}
