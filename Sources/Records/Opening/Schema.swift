import GRDB

/// The tables and how they came to be. Migrations are only ever added: a database of any age becomes today's.
enum Schema {
    static func migrate(_ writer: some DatabaseWriter, path: String) throws {
        let migrator = migrator
        guard try !writer.read(migrator.hasBeenSuperseded) else {
            throw RecordsError(
                .newer,
                "\(path) was written by a newer trunkline; start that version, or restore a backup from before the upgrade."
            )
        }
        try migrator.migrate(writer)
    }

    /// Who has not even this one is no database of ours.
    static let first = "v1"

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration(first) { try $0.execute(sql: v1) }
        migrator.registerMigration("v2-access") { try $0.execute(sql: v2Access) }
        migrator.registerMigration("v3-certificates") { try $0.execute(sql: v3Certificates) }
        migrator.registerMigration("v4-group-keys") { try $0.execute(sql: v4GroupKeys) }
        migrator.registerMigration("v5-bounds") { try $0.execute(sql: v5Bounds) }
        migrator.registerMigration("v6-clock") { try $0.execute(sql: v6Clock) }
        migrator.registerMigration("v7-authority") { try $0.execute(sql: v7Authority) }
        migrator.registerMigration("v8-issue") { try $0.execute(sql: v8Issue) }
        migrator.registerMigration("v9-releases") { try $0.execute(sql: v9Releases) }
        migrator.registerMigration("v10-origins") { try $0.execute(sql: v10Origins) }
        migrator.registerMigration("v11-webhook") { try $0.execute(sql: v11Webhook) }
        migrator.registerMigration("v12-rollouts") { try $0.execute(sql: v12Rollouts) }
        migrator.registerMigration("v13-uses") { try $0.execute(sql: v13Uses) }
        migrator.registerMigration("v14-notifiers") { try $0.execute(sql: v14Notifiers) }
        return migrator
    }

    /// Instants are milliseconds since 1970. Foreign keys are deferred to the end of the transaction, so that the changes of
    /// a burst may come in any order. Machines and events refer to no group: both outlive a group that is deleted.
    private static let v1 = """
        CREATE TABLE software (
            name TEXT NOT NULL, version TEXT NOT NULL, service TEXT NOT NULL, digest TEXT NOT NULL,
            size INTEGER NOT NULL, manifest TEXT NOT NULL, pushed INTEGER NOT NULL,
            PRIMARY KEY (name, version)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE groups (
            name TEXT NOT NULL PRIMARY KEY, text TEXT NOT NULL, revision INTEGER NOT NULL, digest TEXT NOT NULL,
            manifest TEXT NOT NULL, run TEXT NOT NULL, paused INTEGER NOT NULL, next_serial INTEGER NOT NULL,
            key_public BLOB NOT NULL, key_sealed BLOB NOT NULL,
            created INTEGER NOT NULL, changed INTEGER NOT NULL, changed_by TEXT NOT NULL
        ) STRICT;
        CREATE INDEX groups_digest ON groups (digest);

        CREATE TABLE revisions (
            "group" TEXT NOT NULL REFERENCES groups (name) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
            revision INTEGER NOT NULL, text TEXT NOT NULL, digest TEXT NOT NULL, by TEXT NOT NULL, at INTEGER NOT NULL,
            PRIMARY KEY ("group", revision)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE machines (
            id TEXT NOT NULL PRIMARY KEY, "group" TEXT NOT NULL, "index" INTEGER NOT NULL, platform TEXT NOT NULL,
            phase TEXT NOT NULL, fingerprint TEXT, content TEXT NOT NULL
        ) STRICT;
        CREATE INDEX machines_group ON machines ("group", id);

        CREATE TABLE machine_keys (
            machine TEXT NOT NULL PRIMARY KEY
                REFERENCES machines (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
            public_key BLOB NOT NULL, fingerprint TEXT NOT NULL, status_key_sealed BLOB NOT NULL,
            registration_digest TEXT NOT NULL
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE revoked_keys (
            fingerprint TEXT NOT NULL PRIMARY KEY, machine TEXT NOT NULL, at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE tickets (
            id TEXT NOT NULL PRIMARY KEY,
            "group" TEXT NOT NULL REFERENCES groups (name) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
            machine TEXT, secret_sealed BLOB NOT NULL, uses INTEGER NOT NULL, expires INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX tickets_group ON tickets ("group");
        CREATE INDEX tickets_machine ON tickets (machine) WHERE machine IS NOT NULL;
        CREATE INDEX tickets_expires ON tickets (expires);

        CREATE TABLE ticket_uses (
            ticket TEXT NOT NULL REFERENCES tickets (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
            machine TEXT NOT NULL,
            PRIMARY KEY (ticket, machine)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE content_keys (
            "group" TEXT NOT NULL REFERENCES groups (name) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
            digest TEXT NOT NULL, machine TEXT NOT NULL, sealed BLOB NOT NULL,
            PRIMARY KEY ("group", digest, machine)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX content_keys_machine ON content_keys (machine) WHERE machine <> '';

        CREATE TABLE secrets (
            name TEXT NOT NULL PRIMARY KEY, sealed BLOB NOT NULL, at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE tokens (
            name TEXT NOT NULL PRIMARY KEY, hash TEXT NOT NULL UNIQUE, role TEXT NOT NULL, created INTEGER NOT NULL,
            last_used INTEGER
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE idempotency (
            key TEXT NOT NULL, caller TEXT NOT NULL, request TEXT NOT NULL, status INTEGER NOT NULL,
            headers TEXT NOT NULL, body TEXT NOT NULL, at INTEGER NOT NULL,
            PRIMARY KEY (key, caller)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX idempotency_at ON idempotency (at);

        CREATE TABLE events (
            id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, "group" TEXT, machine TEXT, kind TEXT NOT NULL,
            actor TEXT NOT NULL, message TEXT NOT NULL, facts TEXT NOT NULL
        ) STRICT;
        CREATE INDEX events_group ON events ("group", id) WHERE "group" IS NOT NULL;
        CREATE INDEX events_machine ON events (machine, id) WHERE machine IS NOT NULL;
        CREATE INDEX events_rule_acted ON events (at) WHERE kind = 'rule.acted';
        """

    /// What a token may do and until when; the audit log, its keys, and which master key the file is written under.
    private static let v2Access = """
        ALTER TABLE tokens ADD COLUMN groups TEXT;
        ALTER TABLE tokens ADD COLUMN expires INTEGER;
        ALTER TABLE tokens ADD COLUMN revoked INTEGER;
        ALTER TABLE tokens ADD COLUMN created_by TEXT NOT NULL DEFAULT 'manager';

        CREATE TABLE audit (
            seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, who TEXT NOT NULL, "from" TEXT NOT NULL, what TEXT NOT NULL,
            subject TEXT NOT NULL, before TEXT, after TEXT, key INTEGER NOT NULL, previous BLOB NOT NULL,
            hash BLOB NOT NULL
        ) STRICT;
        CREATE INDEX audit_verified ON audit (subject, seq) WHERE what = 'machine.verified';

        CREATE TABLE audit_head (
            one INTEGER PRIMARY KEY CHECK (one = 1), "rows" INTEGER NOT NULL, hash BLOB NOT NULL, key INTEGER NOT NULL,
            code BLOB NOT NULL
        ) STRICT;

        CREATE TABLE audit_keys (id INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT;

        CREATE TABLE master_key (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL) STRICT;
        """

    /// They outlive the machine: what was issued has to stay on the list of revoked certificates until it expires.
    private static let v3Certificates = """
        CREATE TABLE certificates (
            serial TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, issuer TEXT NOT NULL, pem TEXT NOT NULL,
            not_after INTEGER NOT NULL, revoked INTEGER
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX certificates_name ON certificates (name, not_after);
        CREATE INDEX certificates_revoked ON certificates (not_after) WHERE revoked IS NOT NULL;
        """

    /// The group's key before the current one, and which of them each machine knows and each ticket names. Until now there was one.
    private static let v4GroupKeys = """
        ALTER TABLE groups ADD COLUMN previous_key_public BLOB;
        ALTER TABLE groups ADD COLUMN previous_key_sealed BLOB;

        ALTER TABLE machine_keys ADD COLUMN group_key BLOB NOT NULL DEFAULT x'';
        UPDATE machine_keys SET group_key = coalesce((
            SELECT g.key_public FROM machines m JOIN groups g ON g.name = m."group" WHERE m.id = machine), x'');
        CREATE INDEX machine_keys_group_key ON machine_keys (group_key);

        ALTER TABLE tickets ADD COLUMN group_key BLOB NOT NULL DEFAULT x'';
        UPDATE tickets SET group_key = coalesce((SELECT g.key_public FROM groups g WHERE g.name = "group"), x'');
        """

    /// Which database it is; what `at_most` needs, apart from the history; who is to be told that it is not wanted any more; and where
    /// the audit log and the history begin, since their oldest lines are cut.
    private static let v5Bounds = """
        PRAGMA application_id = \(DatabaseFile.applicationID);

        CREATE TABLE identity (
            one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, starts INTEGER NOT NULL, is_open INTEGER NOT NULL
        ) STRICT;
        INSERT INTO identity (one, id, starts, is_open) VALUES (1, lower(hex(randomblob(8))), 0, 0);

        CREATE TABLE rule_acts (
            "group" TEXT NOT NULL, rule TEXT NOT NULL, "index" INTEGER NOT NULL, times TEXT NOT NULL,
            PRIMARY KEY ("group", rule, "index")
        ) STRICT, WITHOUT ROWID;
        INSERT INTO rule_acts ("group", rule, "index", times)
            SELECT "group", rule, place, json_group_array(at) FROM (
                SELECT "group", at, json_extract(facts, '$.rule') AS rule,
                    COALESCE(CAST(json_extract(facts, '$.index') AS INTEGER), -1) AS place
                FROM events WHERE kind = 'rule.acted' AND json_valid(facts) AND "group" IN (SELECT name FROM groups)
                    AND at > (SELECT MAX(at) FROM events) - 2592000000 ORDER BY id)
            WHERE rule IS NOT NULL GROUP BY "group", rule, place;
        DROP INDEX events_rule_acted;

        CREATE TABLE departed_machines (
            machine TEXT NOT NULL PRIMARY KEY, "group" TEXT NOT NULL, public_key BLOB NOT NULL,
            fingerprint TEXT NOT NULL, status_key_sealed BLOB NOT NULL, group_key_sealed BLOB NOT NULL,
            is_previous INTEGER NOT NULL, at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX departed_machines_at ON departed_machines (at);
        CREATE INDEX departed_machines_group ON departed_machines ("group");

        CREATE TABLE audit_cut (
            one INTEGER PRIMARY KEY CHECK (one = 1), "rows" INTEGER NOT NULL, hash BLOB NOT NULL, key INTEGER NOT NULL,
            at INTEGER NOT NULL, code BLOB NOT NULL
        ) STRICT;

        CREATE INDEX revoked_keys_at ON revoked_keys (at);
        """

    /// What is added to the time since this boot to have the manager's own time.
    private static let v6Clock = """
        CREATE TABLE clock (one INTEGER PRIMARY KEY CHECK (one = 1), boot_id TEXT NOT NULL, anchor INTEGER NOT NULL) STRICT;
        """

    /// Which certificate authorities are in force; the files follow.
    private static let v7Authority = """
        CREATE TABLE authority (one INTEGER PRIMARY KEY CHECK (one = 1), current TEXT NOT NULL, previous TEXT) STRICT;
        """

    /// Which manager speaks, and the number of its newest word.
    private static let v8Issue = """
        ALTER TABLE identity ADD COLUMN epoch INTEGER NOT NULL DEFAULT 1;
        ALTER TABLE identity ADD COLUMN issue INTEGER NOT NULL DEFAULT 0;
        """

    /// A revision as machines can be asked to be, and what came of it. What software it named is known as far as that is still there.
    private static let v9Releases = """
        ALTER TABLE revisions ADD COLUMN manifest TEXT;
        ALTER TABLE revisions ADD COLUMN reason TEXT NOT NULL DEFAULT '';
        ALTER TABLE revisions ADD COLUMN summary TEXT NOT NULL DEFAULT '';
        ALTER TABLE revisions ADD COLUMN verdict TEXT NOT NULL DEFAULT 'untried';
        ALTER TABLE revisions ADD COLUMN failure TEXT;
        ALTER TABLE revisions ADD COLUMN failed_at INTEGER;
        UPDATE revisions SET manifest = coalesce(
            (SELECT g.manifest FROM groups g WHERE g.name = revisions."group" AND g.digest = revisions.digest),
            (SELECT s.manifest FROM software s WHERE s.digest = revisions.digest LIMIT 1));
        """

    /// Where a revision comes from: which one it restores, and which count a person wrote before rules scaled.
    private static let v10Origins = """
        ALTER TABLE revisions ADD COLUMN restores INTEGER;
        ALTER TABLE revisions ADD COLUMN start_count INTEGER;
        """

    /// Up to which event the webhook has taken notifications; what waits is in the history.
    private static let v11Webhook = """
        CREATE TABLE webhook (one INTEGER PRIMARY KEY CHECK (one = 1), after INTEGER NOT NULL) STRICT;
        """

    /// Which release a revision asks machines to be (the revision that first asked it), how often a group's software was asked to
    /// start anew, and how its rollouts went.
    private static let v12Rollouts = """
        ALTER TABLE revisions ADD COLUMN release INTEGER NOT NULL DEFAULT 0;
        UPDATE revisions SET release = revision;
        CREATE INDEX revisions_release ON revisions ("group", release);
        ALTER TABLE groups ADD COLUMN release INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE groups ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
        UPDATE groups SET release = revision;

        CREATE TABLE rollouts (
            "group" TEXT NOT NULL REFERENCES groups (name) ON DELETE CASCADE, number INTEGER NOT NULL,
            content TEXT NOT NULL, PRIMARY KEY ("group", number)
        ) STRICT, WITHOUT ROWID;
        """

    /// How often a ticket was used: counted as it happens, since thousands may use one.
    private static let v13Uses = """
        ALTER TABLE tickets ADD COLUMN used INTEGER NOT NULL DEFAULT 0;
        UPDATE tickets SET used = (SELECT COUNT(*) FROM ticket_uses u WHERE u.ticket = tickets.id);
        CREATE TRIGGER tickets_used AFTER INSERT ON ticket_uses BEGIN
            UPDATE tickets SET used = used + 1 WHERE id = NEW.ticket;
        END;
        """

    /// Up to which event each way out has taken notifications: the webhook is not the only one any more.
    private static let v14Notifiers = """
        CREATE TABLE notifiers (name TEXT NOT NULL PRIMARY KEY, after INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        INSERT INTO notifiers (name, after) SELECT 'webhook', after FROM webhook;
        DROP TABLE webhook;
        """
}
