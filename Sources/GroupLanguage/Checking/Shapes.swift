/// What each block may hold: the checker reads it, and the reference is made from it.
extension Checker.Shape {
    static let group = Self(
        keys: ["service", "software", "agent", "heartbeat"], blocks: ["machines", "rollout"], named: ["rule"],
        maps: ["env"])
    static let machines = Self(
        keys: ["count", "min", "max", "platform", "away_limit", "boot_timeout"], maps: ["labels"])
    static let rollout = Self(
        keys: ["batch", "settle", "within", "max_failed", "on_failure", "promote", "bandwidth", "delivery"],
        blocks: ["drain"], either: ["canary"])
    static let canary = Self(keys: ["machines", "for", "worse"])
    static let rolloutDrain = Self(keys: ["until", "at_most", "keep"])
    static let rule = Self(keys: ["at_most", "dry_run"], clauses: ["when", "then"])

    static let software = Self(
        keys: ["version", "service", "run", "capabilities"],
        blocks: ["stop", "health", "metrics", "drain", "undrain", "limits"], maps: ["env"])
    static let stop = Self(keys: ["signal", "timeout"])
    static let health = Self(keys: ["exec", "every", "timeout", "failures", "secrets"])
    static let metrics = Self(keys: ["exec", "every", "secrets"])
    static let hook = Self(keys: ["exec", "timeout", "secrets"])
    static let limits = Self(keys: ["memory", "cpu", "processes", "files"])
}
