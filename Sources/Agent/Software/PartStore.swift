import Fleet
import FoundationEssentials
import Glibc

/// The verified parts of one bundle on disk. A part counts once it is recorded, and it is recorded after it was written.
///
/// Two files: `DIGEST.parts`, of the bundle's size from the beginning, and `DIGEST.have`, a line that says what is being received and
/// one byte for each part. What a power failure makes of them is found when the whole is hashed.
final class PartStore {
    let digest: String
    let size: Int
    let partSize: Int
    let count: Int
    private let data: Int32
    private let record: Int32
    private let header: String
    private let directory: String

    static let largestPart = 1 << 20

    /// Goes on with what an earlier agent received.
    init(digest: String, size: Int, partSize: Int, count: Int, in directory: String) throws(AgentError) {
        guard size > 0, partSize > 0, partSize <= Self.largestPart, count > 0, count <= PartRanges.mostParts,
            count == (size - 1) / partSize + 1
        else { throw AgentError(.bundle, "an order with \(count) parts of \(partSize) bytes for \(size) bytes") }
        self.digest = digest
        self.size = size
        self.partSize = partSize
        self.count = count
        self.directory = directory
        header = "\(size) \(partSize) \(count)\n"
        try DirectoryTree.make(directory)
        let path = Self.parts(digest, in: directory)
        data = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard data >= 0 else { throw .system("create", path) }
        let recordPath = Self.record(digest, in: directory)
        record = open(recordPath, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard record >= 0 else {
            close(data)
            throw .system("create", recordPath)
        }
        let known = (try? AtomicFile.read(recordPath, limit: PartRanges.mostParts + 64)) ?? Data()
        if known.count != header.utf8.count + count || !known.starts(with: Data(header.utf8)) {
            try clear()
        }
        // All of it now: a full disk is found before anything is received.
        let error = posix_fallocate(data, 0, size)
        guard error == 0 else {
            errno = error
            throw .system("reserve \(size) bytes for", path)
        }
    }

    deinit {
        close(data)
        close(record)
    }

    static func parts(_ digest: String, in directory: String) -> String { "\(directory)/\(digest).parts" }
    static func record(_ digest: String, in directory: String) -> String { "\(directory)/\(digest).have" }
    static func bundle(_ digest: String, in directory: String) -> String { "\(directory)/\(digest).bundle" }

    /// Bytes of one part; the last may be shorter.
    func length(of part: Int) -> Int { part == count - 1 ? size - part * partSize : partSize }

    var have: PartRanges {
        var bytes = [UInt8](repeating: 0, count: count)
        guard pread(record, &bytes, count, header.utf8.count) == count else { return PartRanges() }
        var ranges = PartRanges()
        for (index, byte) in bytes.enumerated() where byte == UInt8(ascii: "1") { ranges.insert(index) }
        return ranges
    }

    func write(_ part: Data, index: Int) throws(AgentError) {
        guard index >= 0, index < count, part.count == length(of: index) else {
            throw AgentError(.bundle, "part \(index) has \(part.count) bytes")
        }
        try put(part, to: data, at: index * partSize)
        try put(Data([UInt8(ascii: "1")]), to: record, at: header.utf8.count + index)
    }

    /// Records parts that were written by somebody else.
    func record(_ parts: PartRanges) throws(AgentError) {
        for range in parts.ranges {
            guard range.lowerBound >= 0, range.upperBound < count else { continue }
            try put(
                Data(repeating: UInt8(ascii: "1"), count: range.count), to: record,
                at: header.utf8.count + range.lowerBound)
        }
    }

    var path: String { Self.parts(digest, in: directory) }

    /// What was written so far, for another thread; it must be closed.
    func openForReading() throws(AgentError) -> Int32 {
        let descriptor = open(Self.parts(digest, in: directory), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("open", Self.parts(digest, in: directory)) }
        return descriptor
    }

    /// Throws every part away.
    func clear() throws(AgentError) {
        guard ftruncate(record, 0) == 0 else { throw .system("empty", "\(digest).have") }
        try put(Data(header.utf8) + Data(repeating: UInt8(ascii: "0"), count: count), to: record, at: 0)
    }

    private func put(_ bytes: Data, to descriptor: Int32, at start: Int) throws(AgentError) {
        guard bytes.withUnsafeBytes({ Self.put($0, to: descriptor, at: start) }) else {
            throw .system("write part of", digest)
        }
    }

    /// All of it; false, with `errno`, where the file does not take it.
    static func put(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, at start: Int) -> Bool {
        var offset = 0
        while offset < bytes.count {
            let count = pwrite(
                descriptor, bytes.baseAddress?.advanced(by: offset), bytes.count - offset, start + offset)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            offset += count
        }
        return true
    }
}
