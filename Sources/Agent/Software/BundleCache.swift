import Glibc
import Sealing

/// The verified bundles on disk, by digest.
struct BundleCache: Sendable {
    let directory: String

    func path(_ digest: String) -> String { PartStore.bundle(digest, in: directory) }

    /// Hashes the whole file: what changed on disk does not count as present.
    func isPresent(_ digest: String) -> Bool {
        (try? BundleDigest.hex(ofFile: path(digest))) == digest
    }

    enum Completion: Sendable {
        case accepted
        /// The SHA-256 of what was received.
        case wrong(String)
        case failed(AgentError)
    }

    /// Makes the received parts a bundle, if their SHA-256 is the digest.
    func complete(_ digest: String) -> Completion {
        let parts = PartStore.parts(digest, in: directory)
        do {
            let found = try BundleDigest.hex(ofFile: parts)
            guard found == digest else { return .wrong(found) }
            try keep(digest)
        } catch let error as AgentError {
            return .failed(error)
        } catch {
            return .failed(AgentError(.bundle, "cannot read \(parts): \(error)"))
        }
        return .accepted
    }

    /// The received parts are the bundle. Not flushed: whoever uses it hashes it, and finds what a power failure made of it.
    func keep(_ digest: String) throws(AgentError) {
        let parts = PartStore.parts(digest, in: directory)
        guard rename(parts, path(digest)) == 0 else { throw .system("rename", parts) }
        unlink(PartStore.record(digest, in: directory))
    }

    /// The paths of all bundles but this one.
    func others(than digest: String) -> [String] {
        DirectoryTree.names(in: directory).filter { $0.hasSuffix(".bundle") && !$0.hasPrefix(digest) }.sorted()
            .map { directory + "/" + $0 }
    }

    /// Removes everything of other digests.
    func keepOnly(_ digests: Set<String>) {
        for name in DirectoryTree.names(in: directory) {
            let digest = String(name.prefix { $0 != "." })
            if !digests.contains(digest) { unlink(directory + "/" + name) }
        }
    }
}
