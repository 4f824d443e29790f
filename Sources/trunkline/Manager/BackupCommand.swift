import ArgumentParser
import Fleet
import Foundation
import Manager
import Records
import Sealing

#if canImport(Glibc)
    import Glibc
#endif

/// `trunkline backup …`
struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Back up a manager on this machine, sealed to a key; check a backup.",
        discussion: """
            `trunkline backup keygen backup.key` makes a key pair, whose private half is kept elsewhere and opens the backups.
            `trunkline backup --to FILE --to-key backup.key.pub` writes the database (as it is at one instant, while the manager works on), \
            the bundles that it names and the authorities. The master key, without which nothing secret in it can be read, is left out \
            unless --with-master-key asks for it: keep it elsewhere. Machines' own data, the journal and tokens' values are not in it.
            """,
        subcommands: [Make.self, Verify.self, KeyPair.self], defaultSubcommand: Make.self)

    struct Make: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "make", abstract: "Write a backup (what `trunkline backup` does by itself).")
        @Option(help: ArgumentHelp("The file to write; it must not be there yet.", valueName: "file")) var to: String
        @Option(help: ArgumentHelp("The public key (NAME.pub) that it is sealed to.", valueName: "file"))
        var toKey: String
        @Option(help: ArgumentHelp("The manager's data directory.", valueName: "dir"))
        var data = ManagerLocation.defaultData
        @Flag(help: "Put the master key in, too: then the backup's key opens every secret.") var withMasterKey = false

        func run() async throws {
            let key = try BackupKey.publicHalf(toKey)
            let manifest = try BackupKey.saying {
                try Backup.write(
                    of: Programs.absolute(data), to: Programs.absolute(to), key: key, withMasterKey: withMasterKey,
                    at: BackupKey.now)
            }
            Note.line("\(to): \(manifest.line)")
            if !manifest.hasMasterKey {
                Note.line("the master key is not in it; keep master.key (or TRUNKLINE_MASTER_KEY) elsewhere")
            }
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Open all of a backup, compare its digests, and have its database looked through.",
            discussion:
                "Also prints the number and hash of the newest line of the audit log, to be compared with a note of one's own."
        )
        @Argument(help: "The backup.", completion: .file()) var file: String
        @Option(help: ArgumentHelp("The private key that opens it.", valueName: "file")) var key: String
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let key = try BackupKey.privateHalf(key)
            let manifest = try BackupKey.saying { try Backup.verify(Programs.absolute(file), with: key) }
            let database = manifest.database
            try output.show(
                manifest, name: file,
                lines: [
                    ("backup", file), ("made", "\(manifest.made), by trunkline \(manifest.version)"),
                    ("database", "\(database.id), event \(database.events)"),
                    ("content", manifest.line),
                    ("audit log", "line \(database.auditRows), hash \(database.auditHash)"),
                    (
                        "master key",
                        manifest.hasMasterKey ? "in it" : "not in it: \(database.masterKey ?? "none") is needed"
                    ),
                ])
        }
    }

    struct KeyPair: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "keygen", abstract: "Make a key pair for backups: FILE, private (0600), and FILE.pub.")
        @Argument(help: "Where the private half is written; keep it away from the manager.", completion: .file())
        var file: String

        func run() throws {
            let key = SecurityKey()
            try SecretFile.write(BackupKey.text(key.rawRepresentation, .secret), to: file)
            let text = BackupKey.text(key.publicKey.rawRepresentation, .open)
            do {
                try Data(text.utf8).write(to: URL(fileURLWithPath: file + ".pub"), options: .withoutOverwriting)
            } catch {
                unlink(file)
                throw Failure("\(file).pub can't be written, or is there already; nothing was made")
            }
            Note.line("\(file) opens what is sealed to \(file).pub; keep it where the manager is not")
        }
    }
}

/// `trunkline restore`
struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Put a backup into an empty data directory.",
        discussion: """
            The manager that starts there speaks as a new one (a higher epoch): machines that have gone on since the backup obey it, and what \
            they run is left alone where the record asks for the same. The former manager must not start again. admin.token is made anew at \
            the next start.
            """)
    @Argument(help: "The backup.", completion: .file()) var file: String
    @Option(help: ArgumentHelp("The private key that opens it.", valueName: "file")) var key: String
    @Option(help: ArgumentHelp("The directory; it must not be there, or be empty.", valueName: "dir"))
    var data = ManagerLocation.defaultData

    func run() async throws {
        let key = try BackupKey.privateHalf(key)
        let manifest = try BackupKey.saying {
            try Backup.restore(Programs.absolute(file), with: key, to: Programs.absolute(data), at: BackupKey.now)
        }
        Note.line("\(data): \(manifest.line)")
        if !manifest.hasMasterKey, let id = manifest.database.masterKey {
            Note.line(
                "before it starts, put the master key \(id) there as master.key (0600), or into TRUNKLINE_MASTER_KEY")
        }
    }
}

extension Backup.Manifest {
    fileprivate var line: String {
        let bundles = files.count { $0.path.hasPrefix("bundles/") }
        return
            "\(database.groups.of("group")), \(database.machines.of("machine")), \(bundles.of("bundle")), \(size.bytes)"
    }
}

/// The files of a backup's keys: a word that says which half it is, and base64.
enum BackupKey {
    enum Half: String {
        case secret = "trunkline-backup-secret"
        case open = "trunkline-backup-public"
    }

    static func text(_ bytes: Data, _ half: Half) -> String { "\(half.rawValue) \(bytes.base64EncodedString())\n" }

    static func publicHalf(_ file: String) throws -> SecurityKey.PublicKey {
        let bytes = try read(file, .open, "it is the private half; give \(file).pub")
        return try saying { try SecurityKey.PublicKey(rawRepresentation: bytes) }
    }

    static func privateHalf(_ file: String) throws -> SecurityKey {
        let bytes = try read(file, .secret, "it is the public half, which opens nothing")
        return try saying { try SecurityKey(rawRepresentation: bytes) }
    }

    private static func read(_ file: String, _ half: Half, _ otherwise: String) throws -> Data {
        let words = String(decoding: try Streams.read(file), as: UTF8.self).split(whereSeparator: \.isWhitespace)
        guard words.count == 2, let found = Half(rawValue: String(words[0])),
            let bytes = Data(base64Encoded: String(words[1]))
        else { throw Failure("\(file) is no key of `trunkline backup keygen`") }
        guard found == half else { throw Failure("\(file): \(otherwise)") }
        return bytes
    }

    static var now: Timestamp { Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)) }

    /// Whatever goes wrong is one sentence.
    static func saying<Answer>(_ body: () throws -> Answer) throws -> Answer {
        do { return try body() } catch let failure as Failure { throw failure } catch { throw Failure("\(error)") }
    }
}
