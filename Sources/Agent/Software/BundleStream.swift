import Bundles
import Dispatch
import Fleet
import Glibc
import OperatingSystem
import Sealing
import Synchronization

/// Unpacks a bundle while its parts come: each byte is read once from the parts that are on the disk, hashed, inflated, written and
/// hashed again as content, in their order. What comes out of order waits on the disk.
///
/// Nothing of it counts before the SHA-256 of the whole is the one that was ordered. Where it breaks off nothing of it stays, and what was
/// received can still be unpacked when all of it is here. Its thread waits for parts until all came or it is cancelled, at the latest
/// when nobody holds it any more.
final class BundleStream: Sendable {
    typealias ID = Int
    /// No other stream of this process has it.
    let id: ID
    private let flow = Flow()

    /// - Parameter done: called at most once, on another thread, unless it is cancelled.
    init(
        _ id: ID, _ store: PartStore, have: PartRanges, releases: ReleaseStore,
        done: @escaping @Sendable (ID, BundleCache.Completion) -> Void
    ) throws(AgentError) {
        self.id = id
        let digest = store.digest
        let source = try PartSource(store, flow: flow)
        advance(to: have, of: store)
        // One after the other: what was cancelled has cleaned up before the next one begins.
        AgentQueues.unpacking.async { [flow, id] in
            guard !flow.isCancelled else { return }
            let completion = releases.install(digest, from: source)
            if !flow.isCancelled { done(id, completion) }
        }
    }

    deinit { flow.cancel() }

    func cancel() { flow.cancel() }

    /// Everything before the first part that is lacking may be read.
    func advance(to have: PartRanges, of store: PartStore) {
        let lacking = have.firstMissing(below: store.count) ?? store.count
        flow.advance(to: min(lacking * store.partSize, store.size))
    }
}

/// How far the parts go without a gap: told by the loop, waited for by the thread that unpacks.
private final class Flow: Sendable {
    private let state = Mutex((available: 0, isCancelled: false))
    private let changed = DispatchSemaphore(value: 0)

    var isCancelled: Bool { state.withLock { $0.isCancelled } }

    func advance(to count: Int) {
        let isNew = state.withLock { state in
            guard count > state.available else { return false }
            state.available = count
            return true
        }
        if isNew { changed.signal() }
    }

    func cancel() {
        state.withLock { $0.isCancelled = true }
        changed.signal()
    }

    /// Returns once there is more than `position`; nil: it was cancelled.
    func wait(past position: Int) -> Int? {
        while true {
            let (available, isCancelled) = state.withLock { $0 }
            if isCancelled { return nil }
            if available > position { return available }
            changed.wait()
        }
    }
}

/// The parts on the disk as one bundle, which is hashed as it is read.
final class PartSource: BundleSource, @unchecked Sendable {
    // Made on one thread and then used on another only.
    private let file: Int32
    private let size: Int
    private let flow: Flow
    private(set) var position = 0
    private var hash = BundleDigest()

    fileprivate init(_ store: PartStore, flow: Flow) throws(AgentError) {
        file = try store.openForReading()
        size = store.size
        self.flow = flow
    }

    deinit { close(file) }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(BundleError) -> Int {
        guard position < size else { return 0 }
        guard let available = flow.wait(past: position) else { throw BundleError(.inputOutput, "it was broken off") }
        while true {
            let count = pread(file, buffer.baseAddress, min(buffer.count, available - position), position)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                throw BundleError(.inputOutput, "the parts cannot be read: \(systemMessage(errno))")
            }
            hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            position += count
            return count
        }
    }

    /// Of what was read; the whole bundle's only when all of it was.
    var digest: String { hash.hex() }
}
