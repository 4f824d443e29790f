package import Fleet
package import Foundation

/// Reads an audit log from its first line, or from where it was cut, to its head and stops at the first that is not as it was written.
///
/// Pure: whoever drives it brings the rows in order.
package struct AuditVerifier {
    private let code: (Int64, Data) -> Data?
    private var previous = Data()
    /// The number of the last line that was read, or cut.
    private var rows: Int64 = 0
    private var cut: Int64 = 0

    package init(code: @escaping (_ key: Int64, _ bytes: Data) -> Data?) { self.code = code }

    /// Takes where the log was cut, before its first row; an answer ends it.
    package mutating func begin(_ cut: AuditCut?) -> AuditVerdict? {
        guard let cut else { return nil }
        guard cut.rows > 0, code(cut.key, cut.bytes) == cut.code else {
            return fault(1, "is missing: what says that the log was cut there was changed")
        }
        (rows, previous, self.cut) = (cut.rows, cut.hash, cut.rows)
        return nil
    }

    /// Takes the next row; an answer ends it.
    package mutating func take(_ row: AuditRow) -> AuditVerdict? {
        let seq = row.entry.seq
        guard seq == rows + 1 else {
            return seq > rows + 1
                ? fault(rows + 1, "is missing") : fault(seq, "was put in: numbers begin at \(cut + 1)")
        }
        rows += 1
        guard let code = code(row.key, row.bytes) else {
            return fault(
                seq, "is under the audit key \(row.key), which is not here: it was put in, or the key was removed")
        }
        guard code == row.hash else { return fault(seq, "was changed, or put in by somebody without the key") }
        guard row.previous == previous else { return fault(seq, "does not follow the line before it") }
        guard row.entry.what != AuditEntry.broken else {
            return fault(
                seq, "says that the end of the log had been changed when it was written; lines before it may be missing"
            )
        }
        previous = row.hash
        return nil
    }

    /// The verdict where no row had a fault.
    package func end(_ head: AuditHead?) -> AuditVerdict {
        guard let head else {
            return rows == cut
                ? fault(cut + 1, "is missing: a log has at least the line that says when it began")
                : fault(rows, "is the last one here, but what says where the log ends is missing")
        }
        guard code(head.key, head.bytes) == head.code else {
            return fault(rows, "is the last one here, but what says where the log ends was changed")
        }
        guard head.rows <= rows else { return fault(rows + 1, "is missing: the log had \(head.rows) lines") }
        guard head.rows == rows else { return fault(head.rows + 1, "is behind the end of the log") }
        guard head.hash == previous else { return fault(rows, "is not the line that the log ended with") }
        return verdict(nil)
    }

    private func fault(_ seq: Int64, _ what: String) -> AuditVerdict {
        verdict(.init(seq: seq, what: "line \(seq) \(what)"))
    }

    private func verdict(_ fault: AuditVerdict.Fault?) -> AuditVerdict {
        AuditVerdict(rows: Int(rows - cut), fault: fault, cut: cut == 0 ? nil : cut)
    }
}
