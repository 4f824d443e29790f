import Glibc

/// Where the bytes of a bundle come from, in their order; they may still be on their way.
package protocol BundleSource {
    /// Fills some of the buffer, and waits for the first byte if need be; 0: the end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(BundleError) -> Int
}

/// Sees what is unpacked while it is written, so that nobody has to read it again.
package protocol UnpackObserver: AnyObject {
    /// The next bytes of the file that is being written.
    func take(_ bytes: UnsafeRawBufferPointer)
    /// That file is whole.
    func endFile(_ path: String, size: Int, isExecutable: Bool)
    func addLink(_ path: String, to target: String)
}

/// A bundle that lies on the disk.
final class BundleFile: BundleSource {
    private let file: FileDescriptor

    init(path: String) throws(BundleError) {
        file = try FileDescriptor(opening: path, O_RDONLY)
        let kind = try file.status(entry: path).st_mode & S_IFMT
        guard kind == S_IFREG else { throw BundleError(.inputOutput, entry: path, "not a file") }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(BundleError) -> Int {
        try file.read(into: buffer, entry: nil)
    }
}
