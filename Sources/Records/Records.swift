import Foundation
import GRDB
import Glibc

/// Everything the manager must not forget, in one SQLite file.
///
/// What `commit` has returned from is on the disk (WAL, `synchronous=FULL`). Calls block for as long as SQLite takes: make them
/// where blocking is allowed. Every call is safe from every thread; reads do not wait for a commit in progress.
package struct Records: Sendable {
    let writer: any DatabaseWriter
    /// What was found when they were opened.
    package let opening: OpeningReport
    /// Held for as long as any copy of this value lives; nil in memory.
    private let lock: DirectoryLock?
    /// Nil in memory.
    let checkpoints: Checkpoints?
    /// Asked for each transaction that has audit lines; nil: there is no audit log yet.
    private var seal: (@Sendable () -> AuditSeal)?

    init(writer: any DatabaseWriter, opening: OpeningReport, lock: DirectoryLock?, checkpoints: Checkpoints?) {
        self.writer = writer
        self.opening = opening
        self.lock = lock
        self.checkpoints = checkpoints
    }

    /// The same records, whose `audit` changes are written under what `seal` answers at that time.
    package func audited(under seal: @escaping @Sendable () -> AuditSeal) -> Records {
        var records = self
        records.seal = seal
        return records
    }

    func auditSeal() throws(RecordsError) -> AuditSeal {
        guard let seal else { throw RecordsError(.conflict, "The audit log was not opened; nothing was changed.") }
        return seal()
    }

    /// Opens the database file, made and migrated if need be, and keeps every other manager from it.
    ///
    /// - Parameters:
    ///   - traces: names in the file's directory that say that there was a fleet. Beside one of them no new file is begun.
    ///   - observer: for who counts statements; SQLite is not even asked to tell of them where there is none.
    package static func open(
        at path: String, traces: [String] = [], observer: StatementObserver? = nil
    ) throws(RecordsError) -> Records {
        let lock = try DirectoryLock(path: path + ".lock")
        let mark = try DatabaseMark.read(besides: path)
        let file = DatabaseFile(path: path, traces: traces)
        let (isNew, hasLog) = (file.size(of: path) == 0, file.size(of: path + "-wal") > 0)
        try file.inspect(mark)
        // Nobody else's from its first moment, and its log with it, which SQLite makes with the same mode.
        let made = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        if made >= 0 { Glibc.close(made) }
        do {
            let pool = try DatabasePool(path: path, configuration: configuration(observer))
            // GRDB sets NORMAL when it turns WAL on. The one writing connection lives as long as the pool.
            try pool.writeWithoutTransaction {
                try $0.execute(
                    sql: """
                        PRAGMA synchronous = FULL; PRAGMA journal_size_limit = \(Checkpoints.longestKept);
                        PRAGMA wal_autocheckpoint = \(Checkpoints.longestLog / Checkpoints.page)
                        """)
            }
            try Schema.migrate(pool, path: path)
            // What they prepared before does not know the columns that are new.
            pool.invalidateReadOnlyConnections()
            let opening = try DatabaseMark.begin(
                pool, path: path, beside: mark, isNew: isNew, hadLog: hasLog)
            return Records(
                writer: pool, opening: opening, lock: lock, checkpoints: try Checkpoints(path: path))
        } catch {
            throw RecordsError(error, path: path)
        }
    }

    /// Records that nothing outlives, for tests.
    package static func inMemory() throws(RecordsError) -> Records {
        do {
            let queue = try DatabaseQueue(configuration: configuration())
            try Schema.migrate(queue, path: ":memory:")
            return Records(writer: queue, opening: OpeningReport(isNew: true, remarks: []), lock: nil, checkpoints: nil)
        } catch {
            throw RecordsError(error, path: ":memory:")
        }
    }

    /// Ends every access, leaves one file without a log beside it, and lets another manager in; calls after it throw.
    package func close() throws(RecordsError) {
        do {
            try checkpoints?.close()
            if lock != nil {
                try DatabaseMark.end(writer, path: path)
                try writer.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
            }
            try writer.close()
        } catch {
            throw RecordsError(error, path: path)
        }
        lock?.release()
    }

    var path: String { writer.path }

    /// Told of each statement that runs, and whether it is the one writing connection that runs it.
    package typealias StatementObserver = @Sendable (_ sql: String, _ isWriter: Bool) -> Void

    private static func configuration(_ observer: StatementObserver? = nil) -> Configuration {
        var configuration = Configuration()
        configuration.foreignKeysEnabled = true
        // Only a person with a tool of their own can hold the file: wait a little, since meanwhile nobody else has a turn.
        configuration.busyMode = .timeout(1)
        configuration.label = "trunkline.records"
        configuration.prepareDatabase { database in
            // Of each of five readers; the system keeps the file's pages, too.
            if database.configuration.readonly { try database.execute(sql: "PRAGMA cache_size = -256") }
        }
        if let observer {
            configuration.prepareDatabase { database in
                let isWriter = !database.configuration.readonly
                database.trace { event in
                    if case .statement(let statement) = event { observer(statement.sql, isWriter) }
                }
            }
        }
        return configuration
    }

    func read<Value>(_ body: (Database) throws -> Value) throws(RecordsError) -> Value {
        do { return try writer.read(body) } catch { throw RecordsError(error, path: path) }
    }

    /// Runs a cached statement and turns each row into a value.
    func rows<Value>(
        _ sql: String, _ arguments: StatementArguments = [], _ value: (Row) throws -> Value
    ) throws(RecordsError) -> [Value] {
        try read { database in
            let cursor = try Row.fetchCursor(try database.cachedStatement(sql: sql), arguments: arguments)
            var values: [Value] = []
            while let row = try cursor.next() { values.append(try value(row)) }
            return values
        }
    }

    func row<Value>(
        _ sql: String, _ arguments: StatementArguments, _ value: (Row) throws -> Value
    ) throws(RecordsError) -> Value? {
        try rows(sql, arguments, value).first
    }
}
