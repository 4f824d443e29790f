package import Fleet
package import Foundation

/// A group as it is kept: the text is the language's and means nothing here.
package struct GroupRow: Hashable, Sendable {
    package var name: String
    package var text: String
    package var revision: Int
    package var digest: String
    package var manifest: SoftwareManifest
    package var run: GroupRecord.Run
    package var paused: Bool
    package var nextSerial: Int
    package var release: Int
    package var turn: Int
    package var keyPublic: Data
    /// The private half, encrypted by the caller.
    package var keySealed: Data
    /// The key before it, while somebody may know only that one.
    package var previousKey: PreviousKey?
    package var created: Timestamp
    package var changed: Timestamp
    package var changedBy: String

    package struct PreviousKey: Hashable, Sendable {
        package var publicHalf: Data
        /// The private half, encrypted by the caller.
        package var sealed: Data

        package init(publicHalf: Data, sealed: Data) {
            self.publicHalf = publicHalf
            self.sealed = sealed
        }
    }

    package init(
        name: String, text: String, revision: Int, digest: String, manifest: SoftwareManifest,
        run: GroupRecord.Run = .defined, paused: Bool = false, nextSerial: Int = 1, release: Int = 0,
        turn: Int = 0, keyPublic: Data, keySealed: Data, previousKey: PreviousKey? = nil, created: Timestamp,
        changed: Timestamp, changedBy: String
    ) {
        self.name = name
        self.text = text
        self.revision = revision
        self.digest = digest
        self.manifest = manifest
        self.run = run
        self.paused = paused
        self.nextSerial = nextSerial
        self.release = release == 0 ? revision : release
        self.turn = turn
        self.keyPublic = keyPublic
        self.keySealed = keySealed
        self.previousKey = previousKey
        self.created = created
        self.changed = changed
        self.changedBy = changedBy
    }
}

/// What a group's record was, from `at` on.
package struct RevisionRow: Hashable, Sendable {
    package var group: String
    package var revision: Int
    package var text: String
    /// Of the software that it named then.
    package var digest: String
    /// That software's; nil: not known any more (a revision from before this was kept, whose software is gone).
    package var manifest: SoftwareManifest?
    package var by: String
    package var at: Timestamp
    /// Why it was made, in a line for people; empty where nobody said.
    package var reason: String
    /// What it changed, in a line for people; empty where that was not kept.
    package var summary: String
    package var verdict: Verdict
    /// The first revision that said this, where it was rolled back to.
    package var restores: Int?
    /// What `count` was in the text that a person sent, where rules have scaled since.
    package var startCount: Int?

    /// The revision that first asked of machines what this one asks.
    package var release: Int

    package init(
        group: String, revision: Int, text: String, digest: String, manifest: SoftwareManifest? = nil, by: String,
        at: Timestamp, reason: String = "", summary: String = "", verdict: Verdict = .untried, restores: Int? = nil,
        startCount: Int? = nil, release: Int = 0
    ) {
        self.group = group
        self.revision = revision
        self.text = text
        self.digest = digest
        self.manifest = manifest
        self.by = by
        self.at = at
        self.reason = reason
        self.summary = summary
        self.verdict = verdict
        self.restores = restores
        self.startCount = startCount
        self.release = release == 0 ? revision : release
    }
}

/// Software that was pushed; its bytes lie elsewhere, under their digest.
package struct SoftwareRow: Hashable, Sendable {
    package var name: String
    package var version: String
    package var service: String
    package var digest: String
    package var size: Int
    package var manifest: SoftwareManifest
    package var pushed: Timestamp

    package init(
        name: String, version: String, service: String, digest: String, size: Int, manifest: SoftwareManifest,
        pushed: Timestamp
    ) {
        self.name = name
        self.version = version
        self.service = service
        self.digest = digest
        self.size = size
        self.manifest = manifest
        self.pushed = pushed
    }

    package var reference: SoftwareReference { SoftwareReference(name: name, version: version) }
}

/// What a machine registered with.
package struct MachineKeyRow: Hashable, Sendable {
    package var machine: String
    package var publicKey: Data
    package var fingerprint: String
    /// Encrypted by the caller.
    package var statusKeySealed: Data
    /// SHA-256 of the accepted registration's bytes, so that its repetition is recognised.
    package var registrationDigest: String
    /// The public half of the group's key that the machine knows.
    package var groupKey: Data
    package var revoked = false

    package init(
        machine: String, publicKey: Data, fingerprint: String, statusKeySealed: Data, registrationDigest: String,
        groupKey: Data, revoked: Bool = false
    ) {
        self.machine = machine
        self.publicKey = publicKey
        self.fingerprint = fingerprint
        self.statusKeySealed = statusKeySealed
        self.registrationDigest = registrationDigest
        self.groupKey = groupKey
        self.revoked = revoked
    }
}

/// A boot ticket that was given out.
package struct TicketRow: Hashable, Sendable {
    package var id: String
    package var group: String
    /// The one machine that it is for; nil for an invitation.
    package var machine: String?
    /// Encrypted by the caller.
    package var secretSealed: Data
    /// How many machines may register with it.
    package var uses: Int
    /// How many have.
    package var used: Int
    package var expires: Timestamp
    /// The public half of the group's key that is in it.
    package var groupKey: Data

    package init(
        id: String, group: String, machine: String?, secretSealed: Data, uses: Int, used: Int = 0, expires: Timestamp,
        groupKey: Data
    ) {
        self.id = id
        self.group = group
        self.machine = machine
        self.secretSealed = secretSealed
        self.uses = uses
        self.used = used
        self.expires = expires
        self.groupKey = groupKey
    }
}

/// A bearer token of the REST API; the token itself is not kept.
package struct TokenRow: Hashable, Sendable {
    package var name: String
    /// SHA-256 of the token, hex.
    package var hash: String
    package var role: Role
    /// Nil: all groups.
    package var groups: GroupPattern?
    package var created: Timestamp
    package var createdBy: String
    /// Nil: never.
    package var expires: Timestamp?
    package var revoked: Timestamp?
    package var lastUsed: Timestamp?

    package init(
        name: String, hash: String, role: Role, groups: GroupPattern? = nil, created: Timestamp,
        createdBy: String = "manager", expires: Timestamp? = nil, revoked: Timestamp? = nil, lastUsed: Timestamp? = nil
    ) {
        self.name = name
        self.hash = hash
        self.role = role
        self.groups = groups
        self.created = created
        self.createdBy = createdBy
        self.expires = expires
        self.revoked = revoked
        self.lastUsed = lastUsed
    }
}

/// What a request under an `Idempotency-Key` was answered with.
package struct IdempotentAnswerRow: Hashable, Sendable {
    package var key: String
    package var caller: String
    /// A digest of what was asked.
    package var request: String
    /// 0: it was carried out, and its answer is not known yet.
    package var status: Int
    package var headers: [String: String]
    package var body: String
    package var at: Timestamp

    package init(
        key: String, caller: String, request: String, status: Int, headers: [String: String], body: String,
        at: Timestamp
    ) {
        self.key = key
        self.caller = caller
        self.request = request
        self.status = status
        self.headers = headers
        self.body = body
        self.at = at
    }
}

/// A certificate that was issued to a party of the broker.
package struct CertificateRow: Hashable, Sendable {
    /// Hex.
    package var serial: String
    /// The common name: a machine's id, or `debug0` to `debug7`.
    package var name: String
    /// The authority's key identifier, hex.
    package var issuer: String
    package var pem: String
    package var notAfter: Timestamp
    package var revoked: Timestamp?

    package init(
        serial: String, name: String, issuer: String, pem: String, notAfter: Timestamp, revoked: Timestamp? = nil
    ) {
        self.serial = serial
        self.name = name
        self.issuer = issuer
        self.pem = pem
        self.notAfter = notAfter
        self.revoked = revoked
    }
}
