import Fleet
import Foundation
import Sealing

#if canImport(Glibc)
    import Glibc
#endif

/// A file of sealed chunks: `trunkline backup 1`, a line end, the encapsulated key, and for each chunk its length in four bytes, whose
/// highest bit says that it is the last.
enum BackupFile {
    static let start = Data("trunkline backup 1\n".utf8)
    static let chunk = 256 << 10
    private static let last: UInt32 = 1 << 31

    /// Writes a new file, 0600, that stands under its name only when it is whole.
    final class Writer {
        private let path: String
        private let handle: FileHandle
        private var seal: BackupSeal.Writer
        private var waiting = Data()
        private var partial: String { path + ".partial" }

        init(_ path: String, to key: SecurityKey.PublicKey) throws {
            guard !FileManager.default.fileExists(atPath: path) else {
                throw BackupError("\(path) is there already; remove it, or name another file")
            }
            self.path = path
            let partial = path + ".partial"
            unlink(partial)
            let descriptor = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else {
                throw BackupError("\(path) can't be written: \(String(cString: strerror(errno)))")
            }
            handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
            seal = try BackupSeal.Writer(to: key)
            try put(BackupFile.start + seal.encapsulatedKey)
        }

        func write(_ bytes: Data) throws {
            waiting += bytes
            while waiting.count > BackupFile.chunk {
                try flush(waiting.prefix(BackupFile.chunk), isLast: false)
                waiting = Data(waiting.dropFirst(BackupFile.chunk))
            }
        }

        func finish() throws {
            try flush(waiting, isLast: true)
            try handle.synchronize()
            try handle.close()
            guard rename(partial, path) == 0 else {
                throw BackupError("\(path) can't be written: \(String(cString: strerror(errno)))")
            }
        }

        func giveUp() { unlink(partial) }

        private func flush(_ bytes: Data, isLast: Bool) throws {
            let sealed = try seal.seal(Data(bytes), isLast: isLast)
            let length = UInt32(sealed.count) | (isLast ? BackupFile.last : 0)
            try put(withUnsafeBytes(of: length.bigEndian) { Data($0) } + sealed)
        }

        private func put(_ bytes: Data) throws {
            do { try handle.write(contentsOf: bytes) } catch {
                throw BackupError("\(path) can't be written: \(error.localizedDescription)")
            }
        }
    }

    /// Reads what a writer wrote, and nothing else.
    final class Reader {
        private let path: String
        private let handle: FileHandle
        private var seal: BackupSeal.Reader
        private var read = Data()
        private var isAtEnd = false

        init(_ path: String, with key: SecurityKey) throws {
            self.path = path
            guard let handle = FileHandle(forReadingAtPath: path) else { throw BackupError("\(path) can't be read") }
            self.handle = handle
            let head = try handle.read(upToCount: BackupFile.start.count + BackupSeal.keySize) ?? Data()
            guard head.starts(with: BackupFile.start), head.count == BackupFile.start.count + BackupSeal.keySize else {
                throw BackupError("\(path) is no backup of trunkline")
            }
            seal = try BackupSeal.Reader(with: key, encapsulated: Data(head.suffix(BackupSeal.keySize)))
        }

        /// Exactly so many of the bytes that were written.
        func next(_ count: Int) throws -> Data {
            while read.count < count { try fill() }
            defer { read = Data(read.dropFirst(count)) }
            return Data(read.prefix(count))
        }

        /// There is nothing more, and the file says so itself.
        func finish() throws {
            while !isAtEnd { try fill() }
            guard read.isEmpty, try handle.read(upToCount: 1)?.isEmpty ?? true else {
                throw BackupError("\(path) has more in it than it says; take another backup")
            }
        }

        private func fill() throws {
            guard !isAtEnd else { throw BackupError("\(path) has less in it than it says; take another backup") }
            let head = try handle.read(upToCount: 4) ?? Data()
            let length = head.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            let count = Int(length & ~BackupFile.last)
            guard head.count == 4, count <= BackupFile.chunk + BackupSeal.overhead,
                let sealed = try handle.read(upToCount: count), sealed.count == count
            else { throw BackupError("\(path) breaks off: it was not copied whole; take another backup") }
            isAtEnd = length & BackupFile.last != 0
            do { read += try seal.open(sealed, isLast: isAtEnd) } catch {
                throw BackupError("\(path) can't be opened: it was sealed to another key, or it was changed since")
            }
        }
    }
}

/// What is wrong, and what to do.
package struct BackupError: Error, CustomStringConvertible {
    package var description: String
    init(_ description: String) { self.description = description }
}
