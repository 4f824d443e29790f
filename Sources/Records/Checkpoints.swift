import Dispatch
import GRDB
import Synchronization

/// Moves what commits wrote from SQLite's log into the file, on a connection of its own and beside the commits: SQLite does it within
/// whichever commit fills the log, and whoever waits for that one waits for three more syncs of the disk.
final class Checkpoints: Sendable {
    /// Seconds from the first commit that is not moved yet.
    static let pause = 1
    /// Bytes of log from which a commit does it all the same: so much was written since.
    static let longestLog = 16 << 20
    /// Bytes of log that the file keeps once all of it was moved.
    static let longestKept = 4 << 20
    /// SQLite's own.
    static let page = 4096

    private let database: DatabaseQueue
    private let queue = DispatchQueue(label: "trunkline.checkpoints", qos: .utility)
    private let isDue = Atomic(false)
    /// GRDB asks SQLite on a connection that is closed, and SQLite crashes.
    private let isClosed = Atomic(false)

    init(path: String) throws {
        var configuration = Configuration()
        configuration.busyMode = .immediateError
        configuration.label = "trunkline.checkpoints"
        database = try DatabaseQueue(path: path, configuration: configuration)
    }

    /// After a commit; returns at once.
    func note() {
        guard !isDue.exchange(true, ordering: .relaxed) else { return }
        queue.asyncAfter(deadline: .now() + .seconds(Self.pause)) { [weak self] in self?.move() }
    }

    private func move() {
        isDue.store(false, ordering: .relaxed)
        guard !isClosed.load(ordering: .relaxed) else { return }
        _ = try? database.writeWithoutTransaction { database in
            // Passive: it waits for nobody, and nobody for it. What it can't move now it moves after the next commit.
            let log = try database.checkpoint(.passive)
            // After a burst of thousands the disk gets its room back, unless somebody writes just now.
            guard log.walFrameCount > Self.longestKept / Self.page else { return }
            _ = try database.checkpoint(.truncate)
        }
    }

    /// None is made while `body` runs.
    func pausing<Value>(_ body: () throws -> Value) rethrows -> Value { try queue.sync(execute: body) }

    /// Waits for what is being moved; a second time it does nothing.
    func close() throws {
        try queue.sync {
            guard !isClosed.exchange(true, ordering: .relaxed) else { return }
            try database.close()
        }
    }
}

extension Records {
    /// On the writing connection, beside which no checkpoint is made meanwhile.
    func withoutCheckpoints<Value>(_ body: (Database) throws -> Value) throws -> Value {
        guard let checkpoints else { return try writer.writeWithoutTransaction(body) }
        return try checkpoints.pausing { try writer.writeWithoutTransaction(body) }
    }
}
