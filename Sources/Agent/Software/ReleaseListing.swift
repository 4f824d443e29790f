import Bundles
import Sealing

/// Lists the files of a release while they are unpacked, as `ReleaseContent.read` would find them afterwards.
final class ReleaseListing: UnpackObserver {
    private var files: [ReleaseContent.File] = []
    private var hash = BundleDigest()

    /// Sorted by path, as whoever reads a release finds them.
    var content: ReleaseContent {
        ReleaseContent(files: files.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) })
    }

    func take(_ bytes: UnsafeRawBufferPointer) { hash.update(bytes) }

    func endFile(_ path: String, size: Int, isExecutable: Bool) {
        files.append(.init(path: path, size: size, mode: isExecutable ? 0o755 : 0o644, digest: hash.hex()))
        hash = BundleDigest()
    }

    func addLink(_ path: String, to target: String) {
        // Linux gives every link all permissions, and its target's length.
        files.append(.init(path: path, size: target.utf8.count, mode: 0o777, digest: "link to " + target))
    }
}
