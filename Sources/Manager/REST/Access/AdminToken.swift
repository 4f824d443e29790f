import Fleet
import Foundation
import Logging
import Records
import Sealing

/// The first token, made at the first start.
enum AdminToken {
    /// What SQLite keeps of a token.
    static func hash(_ token: String) -> String { BundleDigest.hex(of: Data(token.utf8)) }

    /// The token in `file`; a new one, registered in the records, where there is none.
    static func ensure(records: Records, file: String, logger: Logger) throws -> String {
        if let bytes = FileManager.default.contents(atPath: file) {
            let token = String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
            guard token.count >= 32 else {
                throw StartError("\(file) holds no token; remove it, and the manager makes a new one")
            }
            if try records.token(hash: hash(token)) == nil { try register(token, file: file, in: records) }
            return token
        }
        let token = make()
        try register(token, file: file, in: records)
        try PrivateFile.write(Data((token + "\n").utf8), to: file)
        logger.notice("admin token written", metadata: ["file": "\(file)"])
        return token
    }

    /// A token that nobody can guess: 32 random bytes in base64url.
    static func make() -> String {
        let text = RandomBytes.data(count: 32).base64EncodedString()
        return "trunkline-"
            + text.replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
            .replacingOccurrences(of: "=", with: "")
    }

    private static func register(_ token: String, file: String, in records: Records) throws {
        let now = Timestamp.wall
        _ = try records.commit([
            .token(TokenRow(name: "admin", hash: hash(token), role: .admin, created: now)),
            .audit(
                AuditEntry(
                    at: now, who: "manager", from: "manager", what: EventEntry.Kind.tokenCreated.rawValue,
                    subject: "token admin", after: AuditDetail.text(["role": Role.admin.rawValue, "file": file]))),
        ])
    }
}

/// `server.json` in the data directory: how the command line on the same machine finds the manager. 0600, since it names the token.
struct ServerFile: Sendable {
    let path: String
    let host: String
    let token: String
    /// The authorities that signed the server's certificate, PEM; nil where it is one that everybody knows, or none.
    let trust: String?
    let isSecure: Bool

    func address(port: Int) -> String {
        let shown = host.contains(":") ? "[\(host)]" : host == "0.0.0.0" ? "127.0.0.1" : host
        return "\(isSecure ? "https" : "http")://\(shown):\(port)"
    }

    func write(port: Int) throws {
        var content = ["server": address(port: port), "token": token, "pid": "\(getpid())"]
        content["trust"] = trust
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        try PrivateFile.write(try encoder.encode(content), to: path)
    }

    func remove() { try? FileManager.default.removeItem(atPath: path) }
}
