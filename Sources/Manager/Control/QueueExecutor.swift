import Dispatch

/// Runs an actor's jobs one after another on a dispatch queue of its own, so that an actor that waits for the disk does not
/// occupy one of the few threads that every other task shares.
final class QueueExecutor: SerialExecutor {
    private let queue: DispatchQueue

    init(label: String) { queue = DispatchQueue(label: label) }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }
}
