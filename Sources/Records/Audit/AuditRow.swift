package import Fleet
package import Foundation

/// How lines of the audit log get their codes: asked anew for each transaction, since the key can be replaced.
package struct AuditSeal: Sendable {
    /// The key that new lines are written under.
    package var key: Int64
    /// The code of some bytes under a key; nil where there is no such key.
    package var code: @Sendable (_ key: Int64, _ bytes: Data) -> Data?

    package init(key: Int64, code: @escaping @Sendable (_ key: Int64, _ bytes: Data) -> Data?) {
        self.key = key
        self.code = code
    }
}

/// A line of the audit log as it is kept.
package struct AuditRow: Hashable, Sendable {
    package var entry: AuditEntry
    package var key: Int64
    /// The hash of the line before; empty for the first.
    package var previous: Data
    /// The code over everything else of the line.
    package var hash: Data

    /// What the code is over: every field with its length, so that nothing can be moved from one to the next.
    var bytes: Data {
        var bytes = Data("trunkline audit row".utf8)
        for number in [entry.seq, entry.at.milliseconds, key] { bytes.append(number: number) }
        for text in [entry.who, entry.from, entry.what, entry.subject, entry.before, entry.after] {
            bytes.append(number: text.map { Int64($0.utf8.count) } ?? -1)
            bytes.append(contentsOf: (text ?? "").utf8)
        }
        bytes.append(previous)
        return bytes
    }
}

/// Where the audit log ends: without it the newest lines could be taken away unseen.
package struct AuditHead: Hashable, Sendable {
    package var rows: Int64
    package var hash: Data
    package var key: Int64
    package var code: Data

    var bytes: Data {
        var bytes = Data("trunkline audit head".utf8)
        for number in [rows, key] { bytes.append(number: number) }
        bytes.append(hash)
        return bytes
    }
}

extension AuditEntry {
    /// The first line of a log.
    package static let begun = "audit.begun"
    /// What the manager writes where it finds the end of the log changed: from then on no verification succeeds.
    package static let broken = "audit.broken"
}

extension Data {
    mutating func append(number: Int64) {
        var big = number.bigEndian
        Swift.withUnsafeBytes(of: &big) { append(contentsOf: $0) }
    }

    /// Lower-case hexadecimal digits.
    var hexadecimal: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
