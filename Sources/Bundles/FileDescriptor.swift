import Glibc

/// An open file or directory that is closed when it goes; every open refuses to follow a symbolic link.
struct FileDescriptor: ~Copyable {
    let number: CInt

    init(opening path: String, _ flags: CInt, mode: mode_t = 0) throws(BundleError) {
        number = open(path, flags | O_CLOEXEC, mode)
        guard number >= 0 else { throw Self.failure("cannot be opened", entry: path) }
    }

    /// Opens a name directly in the directory.
    init(opening name: String, in directory: borrowing FileDescriptor, _ flags: CInt, mode: mode_t = 0, entry: String)
        throws(BundleError)
    {
        number = openat(directory.number, name, flags | O_NOFOLLOW | O_CLOEXEC, mode)
        guard number >= 0 else { throw Self.failure("cannot be opened", entry: entry) }
    }

    deinit { close(number) }

    /// The next bytes, or 0 at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer, entry: String?) throws(BundleError) -> Int {
        while true {
            let count = Glibc.read(number, buffer.baseAddress, buffer.count)
            if count >= 0 { return count }
            guard errno == EINTR else { throw Self.failure("cannot be read", entry: entry) }
        }
    }

    /// Writes all of the bytes.
    func write(_ bytes: UnsafeRawBufferPointer, entry: String?) throws(BundleError) {
        var rest = bytes
        while !rest.isEmpty {
            let count = Glibc.write(number, rest.baseAddress, rest.count)
            if count > 0 {
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            } else if count == 0 || errno != EINTR {
                throw Self.failure("cannot be written", entry: entry)
            }
        }
    }

    func setMode(_ mode: mode_t, entry: String?) throws(BundleError) {
        guard fchmod(number, mode) == 0 else { throw Self.failure("its mode cannot be set", entry: entry) }
    }

    /// Returns once the disk has it.
    func synchronize(entry: String?) throws(BundleError) {
        guard fsync(number) == 0 else { throw Self.failure("cannot be brought to the disk", entry: entry) }
    }

    func status(entry: String?) throws(BundleError) -> stat {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw Self.failure("cannot be looked at", entry: entry) }
        return status
    }

    /// The names in a directory, as bytes, sorted; `.` and `..` left out.
    func names(entry: String?) throws(BundleError) -> [[UInt8]] {
        // A descriptor of its own, because closing the stream closes it, with its own position.
        let copy = openat(number, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0, let stream = fdopendir(copy) else {
            let failure = Self.failure("its names cannot be read", entry: entry)
            if copy >= 0 { close(copy) }
            throw failure
        }
        defer { closedir(stream) }
        var names: [[UInt8]] = []
        while true {
            errno = 0
            guard let next = readdir(stream) else { break }
            let name = withUnsafeBytes(of: &next.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if !name.elementsEqual(".".utf8), !name.elementsEqual("..".utf8) { names.append(name) }
        }
        guard errno == 0 else { throw Self.failure("its names cannot be read", entry: entry) }
        return names.sorted { $0.lexicographicallyPrecedes($1) }
    }

    static func failure(_ what: String, entry: String?) -> BundleError {
        BundleError(.inputOutput, entry: entry, "\(what): \(String(cString: strerror(errno)))")
    }
}
