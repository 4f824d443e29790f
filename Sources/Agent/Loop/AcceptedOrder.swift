import Fleet
import Messaging

/// The last order that was accepted, opened, as it is kept on disk.
struct AcceptedOrder: Codable, Sendable {
    var content: OrderContent

    /// What holds for the moment only is left out.
    init(content: OrderContent) {
        self.content = content
        self.content.session = nil
    }

    var generation: Int { content.generation }
    var job: Job {
        Job(
            generation: content.generation, digest: content.digest, manifest: content.manifest,
            environment: content.environment)
    }
}

/// The supervisor's plan as it is kept on disk.
struct KeptPlan: Codable, Hashable, Sendable {
    var plan = Plan()
    /// The order that the plan has taken in.
    var generation = 0
    /// What ran before: its bundle is kept for the way back.
    var previousDigest: String?
}
