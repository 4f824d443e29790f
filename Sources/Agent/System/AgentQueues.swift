import Dispatch

/// Where what may block or wait is done, off Swift's few cooperative threads.
enum AgentQueues {
    /// Short handlers of timers and descriptors.
    static let timers = DispatchQueue(label: "trunkline.timers")
    /// Reading what checks write; it may pause.
    static let checks = DispatchQueue(label: "trunkline.checks")
    /// Hashing, unpacking and writing of whole bundles, one after the other.
    private static let disk = DispatchQueue(label: "trunkline.disk")

    /// Unpacking of what is being received, one bundle after the other: it waits for parts as long as they take.
    static let unpacking = DispatchQueue(label: "trunkline.unpacking")

    static func onDisk<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            disk.async { continuation.resume(returning: body()) }
        }
    }
}
