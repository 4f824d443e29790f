import Bundles
import FoundationEssentials
import Glibc
import OperatingSystem
import Sealing

/// The unpacked releases, by digest.
struct ReleaseStore: Sendable {
    let directory: String
    let bundles: BundleCache
    /// Under it the lists of what releases must be are kept: nobody else can write one that counts.
    let seal: StateSeal

    func path(_ digest: String) -> String { directory + "/" + digest }
    private func contentFile(_ digest: String) -> String { directory + "/" + digest + ".json" }

    /// Returns when the release is there with every file of the bundle; unpacks afresh what is not. What software wrote beside them stays.
    func prepare(_ digest: String) throws(AgentError) {
        if difference(digest).digest == nil { return }
        guard bundles.isPresent(digest) else {
            throw AgentError(.bundle, "the bundle \(digest.prefix(12)) is not on this machine as it was ordered")
        }
        try DirectoryTree.make(directory)
        let fresh = directory + "/new-" + digest
        ForeignTree.remove(fresh)
        do {
            try BundleReader.unpack(bundleAt: bundles.path(digest), into: fresh, durable: true)
        } catch {
            ForeignTree.remove(fresh)
            throw AgentError(.bundle, "the bundle \(digest.prefix(12)) cannot be unpacked: \(error)")
        }
        // Its files are 0644 or 0755, and the agent's: for the software to read and to execute.
        guard chmod(fresh, 0o755) == 0 else { throw .system("open", fresh) }
        let list = try? JSONEncoder().encode(ReleaseContent.read(fresh))
        guard let content = list.flatMap({ try? seal.seal($0, for: Self.purpose(digest)) }) else {
            throw AgentError(.bundle, "the release \(digest.prefix(12)) cannot be listed")
        }
        // The list is the same for the same bundle, so it may be there before the release is.
        try AtomicFile.write(content, to: contentFile(digest))
        let old = directory + "/old-" + digest
        ForeignTree.remove(old)
        // Software that still runs in it keeps its files until it ends.
        rename(path(digest), old)
        guard rename(fresh, path(digest)) == 0 else { throw .system("rename", fresh) }
        ForeignTree.remove(old)
    }

    /// Reads every file that was shipped.
    func difference(_ digest: String) -> ReleaseDifference {
        let json: Data?
        do throws(AgentError) { json = try AtomicFile.read(contentFile(digest), limit: 64 << 20) } catch {
            return unlisted(digest, error.message)
        }
        guard let json, let list = try? seal.open(json, for: Self.purpose(digest)),
            let shipped = try? JSONDecoder().decode(ReleaseContent.self, from: list)
        else {
            return unlisted(digest, "the list of the release's files is \(json == nil ? "gone" : "not this agent's")")
        }
        return shipped.difference(in: path(digest))
    }

    /// One list does not count for another release.
    private static func purpose(_ digest: String) -> String { "release \(digest)" }

    private func unlisted(_ digest: String, _ why: String) -> ReleaseDifference {
        ReleaseDifference(digest: ReleaseContent.read(path(digest)).digest, trouble: why)
    }

    func stamp(_ digest: String) -> ReleaseStamp { ReleaseStamp(of: path(digest)) }

    /// Removes everything of other digests.
    func keepOnly(_ digests: Set<String>) {
        for name in DirectoryTree.names(in: directory) {
            let plain = name.hasPrefix("new-") || name.hasPrefix("old-") ? name.dropFirst(4) : name[...]
            let digest = String(plain.prefix { $0 != "." })
            if !digests.contains(digest) { ForeignTree.remove(directory + "/" + name) }
        }
    }
}
