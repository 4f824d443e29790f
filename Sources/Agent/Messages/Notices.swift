import Fleet

/// What people are to know besides how the software fares: it stands in the status' reason for as long as it holds. Pure.
struct Notices: Sendable {
    /// In the order in which they are said.
    enum Kind: Hashable, CaseIterable, Sendable {
        /// An order that could not be followed.
        case order
        /// Two machines with one identity.
        case identity
        /// Something of the state directory was damaged or is an older one.
        case state
        /// The session counter was lost or cannot be kept.
        case session
        /// What the manifest limits and this machine cannot.
        case limits
        /// The plan cannot be kept.
        case plan
        /// Another agent was to take this one's place.
        case agent
        /// The release's files are not what was shipped.
        case release
        /// The software reports more metrics than are taken.
        case metrics
    }

    private struct Notice: Sendable {
        var text: String
        var until: TimeSpan?
    }

    private var notices: [Kind: Notice] = [:]

    /// Each is cut to this, so that all of them fit a reason.
    static let longest = 300

    /// - Parameter until: nil: until it is withdrawn.
    mutating func say(_ kind: Kind, _ text: String, until: TimeSpan? = nil) {
        notices[kind] = Notice(text: text.forPeople(atMost: Self.longest), until: until)
    }

    mutating func withdraw(_ kind: Kind) { notices[kind] = nil }

    subscript(kind: Kind) -> String? { notices[kind]?.text }

    var deadline: TimeSpan? { notices.values.compactMap(\.until).min() }

    mutating func due(now: TimeSpan) { notices = notices.filter { $0.value.until.map { $0 > now } ?? true } }

    /// The software's own trouble first. Nil where there is nothing to say.
    func reason(after trouble: String?) -> String? {
        let texts = [trouble].compactMap { $0 } + Kind.allCases.compactMap { notices[$0]?.text }
        return texts.isEmpty ? nil : texts.joined(separator: "; ")
    }
}
