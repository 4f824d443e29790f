import Fleet

/// The names of all topics under one root.
///
/// Group names, machine ids and digests are put in as they are: they were checked by `Name` where they came in.
package struct Topics: Hashable, Sendable {
    package let root: String

    package init(root: String = "trunkline") { self.root = root }

    /// Whether it may be a root: one or more names with `/` between them.
    package static func isValidRoot(_ text: String) -> Bool {
        text.utf8.count <= 128
            && text.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { Name.isValid($0) }
    }

    package func register(group: String, machine: String) -> String { "\(root)/\(group)/register/\(machine)" }
    package func order(group: String, machine: String) -> String { "\(root)/\(group)/machines/\(machine)/order" }
    package func status(group: String, machine: String) -> String { "\(root)/\(group)/machines/\(machine)/status" }
    package func log(group: String, machine: String) -> String { "\(root)/\(group)/machines/\(machine)/log" }
    package func part(group: String, digest: String, index: Int) -> String {
        "\(root)/\(group)/software/\(digest)/\(index)"
    }
    package func machinePart(group: String, machine: String, digest: String, index: Int) -> String {
        "\(root)/\(group)/machines/\(machine)/software/\(digest)/\(index)"
    }
    package var manager: String { "\(root)/manager" }
    /// Where a machine with a certificate asks for the next one.
    package func renewal(group: String, machine: String) -> String { "\(root)/\(group)/machines/\(machine)/register" }
    /// What answers that.
    package func answer(group: String, machine: String) -> String { "\(root)/\(group)/machines/\(machine)/answer" }
    /// What answers, on the boot broker, the registration of whoever has this client id.
    package func answer(to client: String) -> String { "\(root)/answers/\(client)" }

    /// The common name of a machine's certificate, by which a broker knows it. All topics of its own, and no others, are below the root
    /// and this: a static list of rights (`trunkline/%u/status`) leaves it nothing of another machine's or under another group.
    package static func name(group: String, machine: String) -> String { "\(group)/machines/\(machine)" }

    /// How whoever has no certificate begins the client id to which his answer goes; no machine's id begins like this.
    package static let bootClient = "boot-"

    /// Whether it is the answer to a machine without a certificate, which only the boot broker reaches.
    package func isForBooting(_ topic: String) -> Bool {
        guard case .answer(let client) = parse(topic) else { return false }
        return client.hasPrefix(Self.bootClient)
    }

    // MARK: Filters

    package var allRegistrations: String { "\(root)/+/register/+" }
    package var allRenewals: String { "\(root)/+/machines/+/register" }
    package var allStatuses: String { "\(root)/+/machines/+/status" }
    package func parts(group: String, digest: String) -> String { "\(root)/\(group)/software/\(digest)/+" }
    package func machineParts(group: String, machine: String, digest: String) -> String {
        "\(root)/\(group)/machines/\(machine)/software/\(digest)/+"
    }

    /// Reads a topic; nil for everything that the functions above do not make of valid names.
    package func parse(_ topic: String) -> Topic? {
        let (bytes, slash) = (topic.utf8, UInt8(ascii: "/"))
        guard bytes.count <= Message.longestTopic, bytes.starts(with: root.utf8) else { return nil }
        let below = bytes.dropFirst(root.utf8.count)
        guard below.first == slash else { return nil }
        let levels = below.dropFirst().split(separator: slash, maxSplits: 6, omittingEmptySubsequences: false)
            .map { String(Substring($0)) }
        if levels == ["manager"] { return .manager }
        guard let group = levels.first, Name.isValid(group) else { return nil }
        switch levels.count {
        case 2 where group == "answers" && Name.isValid(levels[1]): return .answer(client: levels[1])
        case 3 where levels[1] == "register" && Name.isValid(levels[2]):
            return .registration(group: group, machine: levels[2])
        case 4 where levels[1] == "machines" && Name.isValid(levels[2]):
            switch levels[3] {
            case "order": return .order(group: group, machine: levels[2])
            case "status": return .status(group: group, machine: levels[2])
            case "log": return .log(group: group, machine: levels[2])
            case "register": return .renewal(group: group, machine: levels[2])
            case "answer": return .machineAnswer(group: group, machine: levels[2])
            default: return nil
            }
        case 4 where levels[1] == "software" && Digest.isValid(levels[2]):
            guard let index = Self.index(levels[3]) else { return nil }
            return .part(group: group, digest: levels[2], index: index)
        case 6 where levels[1] == "machines" && Name.isValid(levels[2]) && levels[3] == "software":
            guard Digest.isValid(levels[4]), let index = Self.index(levels[5]) else { return nil }
            return .machinePart(group: group, machine: levels[2], digest: levels[4], index: index)
        default: return nil
        }
    }

    /// Plain decimal digits without leading zeros, so that each part has one topic.
    private static func index(_ text: String) -> Int? {
        guard text.utf8.count <= 7, text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), text == "0" || text.first != "0",
            let index = Int(text), index < PartRanges.mostParts
        else { return nil }
        return index
    }
}

/// What a topic says about its message.
package enum Topic: Hashable, Sendable {
    case registration(group: String, machine: String)
    case renewal(group: String, machine: String)
    case answer(client: String)
    case machineAnswer(group: String, machine: String)
    case order(group: String, machine: String)
    case status(group: String, machine: String)
    case log(group: String, machine: String)
    case part(group: String, digest: String, index: Int)
    case machinePart(group: String, machine: String, digest: String, index: Int)
    case manager
}

/// A SHA-256 as it stands in topics and messages.
enum Digest {
    /// 64 hex digits, lower case.
    static func isValid(_ text: some StringProtocol) -> Bool {
        text.utf8.count == 64 && text.utf8.allSatisfy { ($0 >= 48 && $0 <= 57) || ($0 >= 97 && $0 <= 102) }
    }
}
