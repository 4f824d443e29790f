import Foundation
import GRDB

/// Why the records could not be read or changed, with what to do about it.
package struct RecordsError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// Another process works on the same data directory.
        case inUse
        /// The file is gone or empty where there was a fleet.
        case missing
        /// The file was written by a newer version of this program.
        case newer
        /// No space is left.
        case full
        /// The file is damaged or not a database of ours.
        case corrupt
        /// The change contradicts what is recorded; nothing of its burst was applied.
        case conflict
        /// The operating system refused or failed.
        case unavailable
    }

    package var code: Code
    /// For people: what is wrong and what to do.
    package var message: String
    /// What SQLite or the operating system said.
    package var cause: String?

    package var description: String { cause.map { "\(message) (\($0))" } ?? message }

    package init(_ code: Code, _ message: String, cause: String? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    /// Maps any error of the layers below; one of ours stays as it is.
    init(_ error: any Error, path: String) {
        if let own = error as? RecordsError {
            self = own
            return
        }
        guard let failure = error as? DatabaseError else {
            if (error as? CocoaError)?.code == .fileWriteOutOfSpace {
                self.init(.full, "The disk with \(path) is full; free some space.", cause: nil)
            } else if error is DecodingError {
                self.init(
                    .corrupt, "A row of \(path) can't be read; restore the file from a backup.", cause: "\(error)")
            } else {
                self.init(.unavailable, "The database \(path) failed.", cause: "\(error)")
            }
            return
        }
        let cause = failure.message ?? "SQLite result \(failure.extendedResultCode.rawValue)"
        switch failure.resultCode {
        case .SQLITE_FULL:
            self.init(.full, "The disk with \(path) is full; free some space. Nothing was changed.", cause: cause)
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            self.init(.corrupt, "\(path) is damaged or not a database; restore it from a backup.", cause: cause)
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            self.init(
                .inUse, "Another program holds \(path) locked; end it (a database tool?) and try again.", cause: cause)
        case .SQLITE_CONSTRAINT, .SQLITE_TOOBIG:
            self.init(.conflict, "The change contradicts what is recorded; nothing was changed.", cause: cause)
        case .SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_READONLY, .SQLITE_AUTH:
            self.init(
                .unavailable,
                "\(path) can't be opened for writing; check that the directory exists and belongs to this user.",
                cause: cause)
        case .SQLITE_IOERR:
            self.init(
                .unavailable, "Reading or writing \(path) failed; check the disk, and whether it is full.", cause: cause
            )
        default: self.init(.unavailable, "The database \(path) failed.", cause: cause)
        }
    }
}
