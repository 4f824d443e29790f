import Foundation
import OperatingSystem
import Sealing

/// Everything secret that SQLite holds goes through here: encrypted under the master key, each for its one purpose.
struct Vault: Sendable {
    /// Shared by every copy, so that a new master key is everybody's at once.
    let keyring: Keyring
    /// Where the master key is kept; nil: it came from the environment.
    let file: MasterKeyFile?
    private var master: MasterKey { keyring.master }

    init(master: MasterKey, file: MasterKeyFile? = nil) {
        keyring = Keyring(master: master)
        self.file = file
    }

    /// The master key from the environment (`TRUNKLINE_MASTER_KEY`, base64 of 32 bytes) or from the 0600 file, which is made at first start.
    ///
    /// `keyID` names the key that the database was written under, if it says so: any other key is refused.
    static func open(file path: String, environment: [String: String], for keyID: String? = nil) throws -> Vault {
        if let text = environment["TRUNKLINE_MASTER_KEY"] {
            guard let bytes = Data(base64Encoded: text), bytes.count == 32 else {
                throw StartError(
                    "TRUNKLINE_MASTER_KEY must be 32 bytes in base64, as printed by: openssl rand -base64 32")
            }
            let master = try MasterKey(rawRepresentation: bytes)
            guard keyID == nil || keyID == master.id else {
                throw StartError(
                    "TRUNKLINE_MASTER_KEY is not the key that this database was written under; give that one: nothing can be read without it"
                )
            }
            return Vault(master: master)
        }
        let file = MasterKeyFile(path: path)
        return Vault(master: try file.open(for: keyID), file: file)
    }

    func seal(_ key: SecurityKey, of group: String) throws -> Data {
        try master.seal(key.rawRepresentation, for: "group key \(group)")
    }
    func groupKey(_ sealed: Data, of group: String) throws -> SecurityKey {
        try keyring.key(sealed, for: "group key \(group)")
    }

    func seal(previous key: SecurityKey, of group: String) throws -> Data {
        try master.seal(key.rawRepresentation, for: "previous group key \(group)")
    }
    func previousGroupKey(_ sealed: Data, of group: String) throws -> SecurityKey {
        try keyring.key(sealed, for: "previous group key \(group)")
    }

    func seal(_ key: StatusKey, of machine: String) throws -> Data {
        try master.seal(key.rawRepresentation, for: "status key \(machine)")
    }
    func statusKey(_ sealed: Data, of machine: String) throws -> StatusKey {
        try StatusKey(rawRepresentation: master.open(sealed, for: "status key \(machine)"))
    }

    func seal(_ key: ContentKey, of digest: String) throws -> Data {
        try master.seal(key.rawRepresentation, for: "content key \(digest)")
    }
    func contentKey(_ sealed: Data, of digest: String) throws -> ContentKey {
        try ContentKey(rawRepresentation: master.open(sealed, for: "content key \(digest)"))
    }

    func seal(ticketSecret: Data, of ticket: String) throws -> Data {
        try master.seal(ticketSecret, for: "ticket \(ticket)")
    }
    func ticketSecret(_ sealed: Data, of ticket: String) throws -> Data {
        try master.open(sealed, for: "ticket \(ticket)")
    }

    /// An answer may hold a boot ticket.
    func seal(answer: String, forKey key: String) throws -> String {
        try master.seal(Data(answer.utf8), for: "answer \(key)").base64EncodedString()
    }
    func answer(_ sealed: String, forKey key: String) throws -> String {
        guard let bytes = Data(base64Encoded: sealed) else { throw StartError("a kept answer can't be read") }
        return String(decoding: try master.open(bytes, for: "answer \(key)"), as: UTF8.self)
    }

    func seal(secret value: String, named name: String) throws -> Data {
        try master.seal(Data(value.utf8), for: "secret \(name)")
    }
    func secret(_ sealed: Data, named name: String) throws -> String {
        String(decoding: try master.open(sealed, for: "secret \(name)"), as: UTF8.self)
    }
}

/// A reason why the manager does not start, with what to do about it.
struct StartError: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// A file that only its owner may read, complete or absent.
enum PrivateFile {
    static func write(_ bytes: Data, to path: String) throws { try WholeFile.write(bytes, to: path) }
}
