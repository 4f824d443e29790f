package import Fleet
package import Foundation
import GRDB

extension Records {
    /// One change of a burst.
    package enum Change: Sendable {
        /// The whole row, new or changed.
        case saveGroup(GroupRow)
        /// Only what the monitor decides of a group: `run`, `paused`, `nextSerial`. The group must exist.
        case groupState(GroupRecord)
        /// Takes its revisions, tickets, content keys and rules' acts along; machines and events stay, and its machines are remembered
        /// as departed.
        case removeGroup(String)
        case revision(RevisionRow)
        /// What came of a release; one that is kept no longer has none.
        case verdict(group: String, release: Int, Verdict)
        /// How a rollout goes; the last `Records.rollouts` of a group are kept.
        case rollout(RolloutRecord)
        /// When a rule acted, in place of what was kept of it; no times: nothing is kept.
        case ruleActs(RuleActs)
        /// In phase `revoked` the key of this machine is remembered as revoked for ever.
        case saveMachine(MachineRecord)
        /// Takes its key, its tickets and its content keys along. Where it had registered and is not revoked it is remembered as
        /// departed, so that it can be told so.
        case removeMachine(String)
        /// The machine must exist at the end of the burst.
        case machineKey(
            machine: String, publicKey: Data, fingerprint: String, statusKeySealed: Data, registrationDigest: String,
            groupKey: Data)
        /// Which key of its group the machine knows from now on.
        case machineKnows(machine: String, groupKey: Data)
        /// Nobody is answered under the group's previous key any more.
        case forgetPreviousKey(group: String)
        /// Remembers a key as revoked, also where its machine is gone.
        case revokeKey(fingerprint: String, machine: String, at: Timestamp)
        case certificate(CertificateRow)
        /// Which authorities are in force from now on.
        case authority(AuthorityRow)
        /// All that the name has; they stay known until they expire.
        case revokeCertificates(name: String, at: Timestamp)
        case removeCertificates(expiredBefore: Timestamp)
        case ticket(
            id: String, group: String, machine: String?, secretSealed: Data, uses: Int, expires: Timestamp,
            groupKey: Data)
        /// Refused where the ticket is spent; the same machine again spends nothing.
        case useTicket(ticket: String, machine: String)
        case removeTickets(expiredBefore: Timestamp)
        /// Nil as the machine: the key that all machines of the group share.
        case contentKey(group: String, digest: String, machine: String?, sealed: Data)
        /// Refused where other bytes have this name and version.
        case software(SoftwareRow)
        case removeSoftware(SoftwareReference)
        case secret(name: String, sealed: Data, at: Timestamp)
        case removeSecret(String)
        case token(TokenRow)
        case tokenUsed(name: String, at: Timestamp)
        case revokeToken(name: String, at: Timestamp)
        case removeToken(String)
        /// A line of the audit log; its number and hash are given here, behind everything else of the burst.
        case audit(AuditEntry)
        case auditKey(id: Int64, sealed: Data)
        /// Which master key everything sealed is under.
        case masterKey(id: String)
        /// The first answer under a key and caller stays.
        case idempotentAnswer(IdempotentAnswerRow)
        case removeIdempotentAnswers(before: Timestamp)
        case event(EventEntry)
        /// Notifications up to this event were delivered or given up.
        case notified(by: String, after: Int64)
        /// Takes the place of the one before.
        case clock(ClockRow)
        /// The newest word of the manager from now on.
        case issue(Issue)
    }

    /// Applies all changes in their order in one transaction, or none, and returns the events among them with their ids.
    ///
    /// They are on the disk when this returns.
    package func commit(_ changes: [Change]) throws(RecordsError) -> [EventEntry] {
        guard !changes.isEmpty else { return [] }
        do {
            let events = try writer.write { try Transaction(database: $0).apply(changes) { try auditSeal() } }
            checkpoints?.note()
            return events
        } catch {
            throw RecordsError(error, path: path)
        }
    }
}

/// One transaction's statements; each is prepared once per connection.
struct Transaction {
    let database: Database
    let json = RowCoding()

    func run(_ sql: String, _ arguments: StatementArguments) throws {
        try database.cachedStatement(sql: sql).execute(arguments: arguments)
    }

    /// Returns the events among them.
    func apply(_ changes: [Records.Change], seal: () throws -> AuditSeal) throws -> [EventEntry] {
        var events: [EventEntry] = []
        var lines: [AuditEntry] = []
        for change in changes {
            if case .audit(let line) = change { lines.append(line) }
            if let event = try apply(change) { events.append(event) }
        }
        if !lines.isEmpty { try append(lines, under: try seal()) }
        return events
    }

    /// Returns the event where the change was one.
    func apply(_ change: Records.Change) throws -> EventEntry? {
        switch change {
        case .event(let entry): return try record(entry)
        case .saveMachine(let machine): try save(machine)
        case .removeMachine(let id): try removeMachine(id)
        case .machineKey(
            let machine, let publicKey, let fingerprint, let statusKeySealed, let registrationDigest, let groupKey):
            try saveKey(
                MachineKeyRow(
                    machine: machine, publicKey: publicKey, fingerprint: fingerprint, statusKeySealed: statusKeySealed,
                    registrationDigest: registrationDigest, groupKey: groupKey))
        case .machineKnows(let machine, let groupKey):
            try run("UPDATE machine_keys SET group_key = ? WHERE machine = ?", [groupKey, machine])
        case .forgetPreviousKey(let group):
            try run(
                "UPDATE groups SET previous_key_public = NULL, previous_key_sealed = NULL WHERE name = ?", [group])
        case .revokeKey(let fingerprint, let machine, let at): try revoke(fingerprint, of: machine, at: at)
        case .certificate(let row): try save(row)
        case .authority(let row): try save(row)
        case .revokeCertificates(let name, let at): try revokeCertificates(of: name, at: at)
        case .removeCertificates(let instant): try removeCertificates(expiredBefore: instant)
        case .saveGroup(let row): try save(row)
        case .groupState(let group): try saveState(of: group)
        case .removeGroup(let name): try removeGroup(name)
        case .revision(let row): try save(row)
        case .verdict(let group, let release, let verdict): try setVerdict(group, release: release, verdict)
        case .rollout(let record): try save(record)
        case .ruleActs(let row): try save(row)
        case .ticket(let id, let group, let machine, let secretSealed, let uses, let expires, let groupKey):
            try saveTicket(
                TicketRow(
                    id: id, group: group, machine: machine, secretSealed: secretSealed, uses: uses, expires: expires,
                    groupKey: groupKey))
        case .useTicket(let ticket, let machine): try useTicket(ticket, by: machine)
        case .removeTickets(let instant):
            try run("DELETE FROM tickets WHERE expires < ?", [instant.milliseconds])
        case .contentKey(let group, let digest, let machine, let sealed):
            try run(
                "INSERT INTO content_keys (\"group\", digest, machine, sealed) VALUES (?, ?, ?, ?)",
                [group, digest, machine ?? "", sealed])
        case .software(let row): try save(row)
        case .removeSoftware(let reference):
            try run("DELETE FROM software WHERE name = ? AND version = ?", [reference.name, reference.version])
        case .secret(let name, let sealed, let at): try saveSecret(name, sealed, at: at)
        case .removeSecret(let name): try run("DELETE FROM secrets WHERE name = ?", [name])
        case .token(let token): try save(token)
        case .tokenUsed(let name, let at):
            try run("UPDATE tokens SET last_used = ? WHERE name = ?", [at.milliseconds, name])
        case .revokeToken(let name, let at):
            try run("UPDATE tokens SET revoked = ? WHERE name = ?", [at.milliseconds, name])
        case .audit: break
        case .auditKey(let id, let sealed):
            try run("INSERT INTO audit_keys (id, sealed) VALUES (?, ?)", [id, sealed])
        case .masterKey(let id):
            try run(
                "INSERT INTO master_key (one, id) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET id = excluded.id", [id])
        case .removeToken(let name): try run("DELETE FROM tokens WHERE name = ?", [name])
        case .notified(let channel, let after):
            try run(
                """
                INSERT INTO notifiers (name, after) VALUES (?, ?)
                ON CONFLICT (name) DO UPDATE SET after = max(after, excluded.after)
                """, [channel, after])
        case .clock(let row): try save(row)
        case .issue(let issue):
            try run("UPDATE identity SET epoch = ?, issue = ?", [issue.epoch, issue.number])
        case .idempotentAnswer(let answer): try save(answer)
        case .removeIdempotentAnswers(let instant):
            try run("DELETE FROM idempotency WHERE at < ?", [instant.milliseconds])
        }
        return nil
    }
}
