import Bundles
import FoundationEssentials
import Glibc
import OperatingSystem
import Sealing
import Synchronization

/// The unpacked releases, by digest.
struct ReleaseStore: Sendable {
    let directory: String
    let bundles: BundleCache
    /// Under it the lists of what releases must be are kept: nobody else can write one that counts.
    let seal: StateSeal
    private let fresh = FreshReleases()

    init(directory: String, bundles: BundleCache, seal: StateSeal) {
        self.directory = directory
        self.bundles = bundles
        self.seal = seal
    }

    func path(_ digest: String) -> String { directory + "/" + digest }
    private func contentFile(_ digest: String) -> String { directory + "/" + digest + ".json" }

    /// Returns when the release is there with every file of the bundle; unpacks afresh what is not. What software wrote beside them stays.
    ///
    /// Of what this process has just unpacked nothing is read again that was not touched since, the first time that it is asked for.
    /// - Returns: how the files looked while they were as they must be, with none beside them; nil where nobody can tell.
    @discardableResult
    func prepare(_ digest: String) throws(AgentError) -> ReleaseStamp? {
        let stamp = stamp(digest)
        let difference = difference(digest, known: fresh.take(digest))
        if difference.digest == nil { return difference == ReleaseDifference() ? stamp : nil }
        guard bundles.isPresent(digest) else {
            throw AgentError(.bundle, "the bundle \(digest.prefix(12)) is not on this machine as it was ordered")
        }
        let listing = ReleaseListing()
        do {
            try unpack(digest) { directory throws(BundleError) in
                try BundleReader.unpack(
                    bundleAt: bundles.path(digest), into: directory, durable: true, observer: listing)
            }
        } catch {
            throw AgentError(.bundle, "the bundle \(digest.prefix(12)) cannot be unpacked: \(error)")
        }
        try place(digest, listing.content)
        return nil
    }

    /// Unpacks a bundle while it is received, and takes it if its SHA-256 is the digest: then bundle and release are there. Else nothing stays
    /// but the parts.
    func install(_ digest: String, from source: PartSource) -> BundleCache.Completion {
        let listing = ReleaseListing()
        do {
            try unpack(digest) { directory throws(BundleError) in
                try BundleReader.unpack(source, into: directory, durable: true, observer: listing)
            }
        } catch {
            return .failed(AgentError(.bundle, "\(error)"))
        }
        guard source.digest == digest else {
            ForeignTree.remove(new(digest))
            return .wrong(source.digest)
        }
        do throws(AgentError) {
            try bundles.keep(digest)
            try place(digest, listing.content)
        } catch {
            ForeignTree.remove(new(digest))
            return .failed(error)
        }
        return .accepted
    }

    private func new(_ digest: String) -> String { directory + "/new-" + digest }

    private func unpack(
        _ digest: String, _ body: (String) throws(BundleError) -> BundleReader.Contents
    ) throws(BundleError) {
        do throws(AgentError) { try DirectoryTree.make(directory) } catch {
            throw BundleError(.inputOutput, error.message)
        }
        // Of one that was broken off.
        ForeignTree.remove(new(digest))
        _ = try body(new(digest))
    }

    /// What was unpacked and found to be what was ordered takes its place.
    private func place(_ digest: String, _ content: ReleaseContent) throws(AgentError) {
        // Its files are 0644 or 0755, and the agent's: for the software to read and to execute.
        guard chmod(new(digest), 0o755) == 0 else { throw .system("open", new(digest)) }
        let list = try? JSONEncoder().encode(content)
        guard let content = list.flatMap({ try? seal.seal($0, for: Self.purpose(digest)) }) else {
            throw AgentError(.bundle, "the release \(digest.prefix(12)) cannot be listed")
        }
        // The list is the same for the same bundle, so it may be there before the release is.
        try AtomicFile.write(content, to: contentFile(digest))
        let old = directory + "/old-" + digest
        ForeignTree.remove(old)
        // Software that still runs in it keeps its files until it ends.
        rename(path(digest), old)
        guard rename(new(digest), path(digest)) == 0 else { throw .system("rename", new(digest)) }
        ForeignTree.remove(old)
        fresh.keep(stamp(digest), of: digest)
    }

    /// Reads every file that was shipped, but for those that are as they were when `known` was taken.
    func difference(_ digest: String, known: ReleaseStamp? = nil) -> ReleaseDifference {
        let json: Data?
        do throws(AgentError) { json = try AtomicFile.read(contentFile(digest), limit: 64 << 20) } catch {
            return unlisted(digest, error.message)
        }
        guard let json, let list = try? seal.open(json, for: Self.purpose(digest)),
            let shipped = try? JSONDecoder().decode(ReleaseContent.self, from: list)
        else {
            return unlisted(digest, "the list of the release's files is \(json == nil ? "gone" : "not this agent's")")
        }
        return shipped.difference(in: path(digest), known: known)
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
        fresh.keepOnly(digests)
    }
}

/// How the releases looked that this process unpacked and nobody has asked for yet. In memory: another process reads all of it.
private final class FreshReleases: Sendable {
    private let stamps = Mutex<[String: ReleaseStamp]>([:])

    func keep(_ stamp: ReleaseStamp, of digest: String) { stamps.withLock { $0[digest] = stamp } }

    func keepOnly(_ digests: Set<String>) {
        stamps.withLock { stamps in stamps = stamps.filter { digests.contains($0.key) } }
    }

    func take(_ digest: String) -> ReleaseStamp? { stamps.withLock { $0.removeValue(forKey: digest) } }
}
