/// What each block may hold, from the one table of the language.
extension Checker.Shape {
    static let group = Self(of: "group")
    static let machines = Self(of: "machines")
    static let rollout = Self(of: "rollout")
    static let canary = Self(of: "canary")
    static let rolloutDrain = Self(of: "rollout drain")
    static let rule = Self(of: "rule")

    static let software = Self(of: "software")
    static let stop = Self(of: "stop")
    static let health = Self(of: "health")
    static let metrics = Self(of: "metrics")
    static let hook = Self(of: "drain, undrain")
    static let limits = Self(of: "limits")

    private init(of block: String) {
        func names(_ form: LanguageReference.Form) -> [String] {
            LanguageReference.keys.filter { $0.block == block && $0.form == form }.map(\.name)
        }
        self.init(
            keys: names(.value), blocks: names(.block), named: names(.named), clauses: names(.clause),
            maps: names(.map), either: names(.either))
    }
}
