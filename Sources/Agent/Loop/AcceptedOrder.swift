import Fleet
import Messaging

/// The last order that was accepted, opened, as it is kept on disk.
struct AcceptedOrder: Codable, Sendable {
    var content: OrderContent
    /// It asks for what runs, and the order before it for something else, which did not come to run or not to stay: nothing is
    /// restarted for it. Known when it is accepted; nil in files of the first agents.
    var keeps: Bool?

    /// What holds for the moment only is left out.
    init(content: OrderContent) {
        self.content = content
        self.content.session = nil
        self.content.watch = nil
    }

    var generation: Int { content.generation }
    var drains: Bool { content.action == .drain }
    var job: Job {
        Job(
            generation: content.generation, digest: content.digest, manifest: content.manifest,
            environment: content.environment, secrets: content.secrets)
    }
}

/// The supervisor's plan as it is kept on disk.
struct KeptPlan: Codable, Hashable, Sendable {
    var plan = Plan()
    /// The order that the plan has taken in.
    var generation = 0
    /// The newest word of the manager that was heard; nil in files of the first agents.
    var heard: Issue?
    /// What ran before: its bundle is kept for the way back.
    var previousDigest: String?

    /// In place of one that got lost: what runs is what is to run, until an order says otherwise.
    static func rebuilt(from running: Job?) -> KeptPlan {
        guard let running else { return KeptPlan() }
        return KeptPlan(plan: .unknown(running), generation: running.generation)
    }
}
