import Dispatch
import Synchronization

/// Threads of their own, as many as there are processors, for what reads files or computes for long: neither Swift's pool nor an
/// actor waits for it.
package final class Workers: Sendable {
    private let queues: [DispatchQueue]
    private let turn = Atomic(0)
    private let unfinished = Atomic(0)

    package init(label: String, count: Int? = nil) {
        let count = max(1, count ?? ProcessorCount.online)
        queues = (0..<count).map { DispatchQueue(label: "\(label).\($0)") }
    }

    package var count: Int { queues.count }
    /// What was given to them and has not ended.
    package var waiting: Int { unfinished.load(ordering: .acquiring) }

    package func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        let turn = turn.wrappingAdd(1, ordering: .relaxed).newValue
        let queue = queues[Int(turn.magnitude % UInt(queues.count))]
        unfinished.add(1, ordering: .acquiringAndReleasing)
        defer { unfinished.subtract(1, ordering: .acquiringAndReleasing) }
        return try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result(catching: work)) }
        }
    }
}

#if canImport(Glibc)
    import Glibc
#endif

enum ProcessorCount {
    static var online: Int { sysconf(CInt(_SC_NPROCESSORS_ONLN)) }
}
