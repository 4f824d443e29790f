/// The `rollout` block: how a group gets from one release to another.
package struct RolloutPolicy: Hashable, Sendable, Codable {
    package enum Batch: Hashable, Sendable, Codable {
        case percent(Double)
        case count(Int)
    }
    package enum OnFailure: String, Hashable, Sendable, Codable, CaseIterable {
        case rollback, pause
    }
    /// Who lets a release go on from its canaries to the rest.
    package enum Promote: String, Hashable, Sendable, Codable, CaseIterable {
        case manual, auto
    }
    package enum Delivery: String, Hashable, Sendable, CaseIterable, Codable {
        case shared, individual
    }

    /// Machines that change first, alone: `canary = 1`, or a block.
    package struct Canary: Hashable, Sendable, Codable {
        package var machines: Int
        /// So long they must stay well, after all of them are verified, before the rest may follow.
        package var holds: TimeSpan
        /// Judged for each canary while it is tried; where it holds, the canary has failed. May name `avg_of_rest`.
        package var worse: Expression?

        package init(machines: Int, holds: TimeSpan = .zero, worse: Expression? = nil) {
            self.machines = machines
            self.holds = holds
            self.worse = worse
        }
    }

    package struct Drain: Hashable, Sendable, Codable {
        package var until: Expression
        package var atMost: TimeSpan
        /// Never are fewer than so many verified machines left that take new work; less than the group's count.
        package var keep: Int

        package init(until: Expression, atMost: TimeSpan, keep: Int = 0) {
            self.until = until
            self.atMost = atMost
            self.keep = keep
        }
    }

    /// Nil: the first wave is one like the others.
    package var canary: Canary?
    package var batch: Batch
    /// Healthy this long before a machine counts as verified.
    package var settle: TimeSpan
    /// A machine that is not verified so long after it was given a release has failed; what it receives meanwhile counts as progress,
    /// and the time begins anew. Always more than `settle`.
    package var within: TimeSpan
    package var maxFailed: Int
    package var onFailure: OnFailure
    /// Says something only where there is a canary.
    package var promote: Promote
    package var drain: Drain?
    /// Of software delivery, for the group; bytes a second. Nil: unlimited.
    package var bandwidth: Int?
    package var delivery: Delivery

    package static let defaultWithin = TimeSpan.minutes(10)

    package init(
        canary: Canary? = nil, batch: Batch = .percent(25), settle: TimeSpan = .seconds(5),
        within: TimeSpan = defaultWithin, maxFailed: Int = 1, onFailure: OnFailure = .pause,
        promote: Promote = .manual, drain: Drain? = nil, bandwidth: Int? = nil, delivery: Delivery = .shared
    ) {
        self.canary = canary
        self.batch = batch
        self.settle = settle
        self.within = within
        self.maxFailed = maxFailed
        self.onFailure = onFailure
        self.promote = promote
        self.drain = drain
        self.bandwidth = bandwidth
        self.delivery = delivery
    }
}
