import Bundles
import FoundationEssentials
import Glibc

/// The unpacked releases, by digest.
struct ReleaseStore: Sendable {
    let directory: String
    let bundles: BundleCache

    func path(_ digest: String) -> String { directory + "/" + digest }
    private func contentFile(_ digest: String) -> String { directory + "/" + digest + ".json" }

    /// Returns when the release is there with exactly the files of the bundle; unpacks afresh what is not.
    func prepare(_ digest: String) throws(AgentError) {
        if isIntact(digest) { return }
        guard bundles.isPresent(digest) else {
            throw AgentError(.bundle, "the bundle \(digest.prefix(12)) is not on this machine as it was ordered")
        }
        let fresh = directory + "/new-" + digest
        DirectoryTree.remove(fresh)
        do {
            try BundleReader.unpack(bundleAt: bundles.path(digest), into: fresh, durable: true)
        } catch {
            DirectoryTree.remove(fresh)
            throw AgentError(.bundle, "the bundle \(digest.prefix(12)) cannot be unpacked: \(error)")
        }
        guard let content = try? JSONEncoder().encode(ReleaseContent.read(fresh)) else {
            throw AgentError(.bundle, "the release \(digest.prefix(12)) cannot be listed")
        }
        // The list is the same for the same bundle, so it may be there before the release is.
        try AtomicFile.write(content, to: contentFile(digest))
        let old = directory + "/old-" + digest
        DirectoryTree.remove(old)
        // Software that still runs in it keeps its files until it ends.
        rename(path(digest), old)
        guard rename(fresh, path(digest)) == 0 else { throw .system("rename", fresh) }
        DirectoryTree.remove(old)
    }

    /// Reads every file.
    func isIntact(_ digest: String) -> Bool { changedDigest(digest) == nil }

    /// Nil while the files are the bundle's; otherwise the digest of what is there.
    func changedDigest(_ digest: String) -> String? {
        let found = ReleaseContent.read(path(digest))
        guard let json = try? AtomicFile.read(contentFile(digest), limit: 64 << 20),
            let ordered = try? JSONDecoder().decode(ReleaseContent.self, from: json), ordered.isIntact(in: found)
        else { return found.digest }
        return nil
    }

    func stamp(_ digest: String) -> ReleaseStamp { ReleaseStamp(of: path(digest)) }

    /// Removes everything of other digests.
    func keepOnly(_ digests: Set<String>) {
        for name in DirectoryTree.names(in: directory) {
            let plain = name.hasPrefix("new-") || name.hasPrefix("old-") ? name.dropFirst(4) : name[...]
            let digest = String(plain.prefix { $0 != "." })
            if !digests.contains(digest) { DirectoryTree.remove(directory + "/" + name) }
        }
    }
}
