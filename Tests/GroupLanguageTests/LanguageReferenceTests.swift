import Fleet
import GroupLanguage
import Testing

/// What the reference says of each key is tried on a record that is right but for that key.
@Suite("The reference of the language")
struct LanguageReferenceTests {
    /// A record's blocks and keys, in the order of the reference; what has a name or a clause is written as such.
    private static let group: [(block: String, keys: [String: String])] = [
        ("group", ["service": "voice", "software": "\"a@1\""]),
        ("machines", ["count": "2", "min": "0", "max": "20", "platform": "local"]),
        ("rollout", [:]), ("canary", ["machines": "1"]),
        ("rollout drain", ["until": "metric(\"calls\") == 0", "at_most": "1m"]),
        ("rule", ["when": "machine.state == away", "then": "replace"]),
    ]
    private static let software: [(block: String, keys: [String: String])] = [
        ("software", ["version": "\"1\"", "service": "voice", "run": "[\"./start.sh\"]"]),
        ("stop", [:]), ("health", ["exec": "[\"./a.sh\"]"]), ("metrics", ["exec": "[\"./a.sh\"]"]),
        ("drain, undrain", ["exec": "[\"./a.sh\"]"]), ("limits", [:]),
    ]

    private static func text(_ block: String, _ name: String, _ value: String) -> String {
        let isGroup = group.contains { $0.block == block }
        var blocks = Dictionary(uniqueKeysWithValues: (isGroup ? group : software).map { ($0.block, $0.keys) })
        blocks[block, default: [:]][name] = value
        // One key says that there are canaries, or a block does.
        let counted = block == "rollout" && name == "canary"
        func inside(_ block: String) -> String {
            (blocks[block] ?? [:]).sorted { $0.key < $1.key }.map { key, value in
                ["when", "then"].contains(key) ? "\(key) \(value)\n" : "\(key) = \(value)\n"
            }.joined()
        }
        if isGroup {
            // A rule's clauses have their order.
            let rule = blocks["rule"] ?? [:]
            let more = rule.filter { !["when", "then"].contains($0.key) }.map { "\($0.key) = \($0.value)\n" }.joined()
            return """
                group "edge" {
                \(inside("group")) machines { \(inside("machines")) }
                rollout { \(inside("rollout")) \(counted ? "" : "canary { \(inside("canary")) }")
                drain { \(inside("rollout drain")) } }
                rule "r" { when \(rule["when"] ?? "")
                then \(rule["then"] ?? "")
                \(more) }
                }
                """
        }
        let hook = inside("drain, undrain")
        return """
            software "soft" {
            \(inside("software")) stop { \(inside("stop")) } health { \(inside("health")) }
            metrics { \(inside("metrics")) } drain { \(hook) } undrain { \(hook) } limits { \(inside("limits")) }
            }
            """
    }

    @Test("It speaks of every key, fact, function and action that the checker knows, and of no other")
    func whole() {
        #expect(LanguageReference.gaps.isEmpty, "\(LanguageReference.gaps)")
        #expect(LanguageReference.silences.isEmpty, "\(LanguageReference.silences)")
        for word in ["machine.state", "`rate`", "`scale_to`", "`avg_of_rest`", "passing"] {
            #expect(LanguageReference.markdown.contains(word))
        }
    }

    /// A text with an unknown key in this block, so that the checker says which it has.
    private static func asking(_ block: String) -> String {
        let path =
            switch block {
            case "group", "software": ["\(block) \"n\""]
            case "rollout drain": ["group \"n\"", "rollout", "drain"]
            case "canary": ["group \"n\"", "rollout", "canary"]
            case "rule": ["group \"n\"", "rule \"n\""]
            case "drain, undrain": ["software \"n\"", "undrain"]
            default: [group.contains { $0.block == block } ? "group \"n\"" : "software \"n\"", block]
            }
        return path.map { $0 + " { " }.joined() + "zzzzzzzzzzzzzzzz = 1" + String(repeating: " }", count: path.count)
    }

    @Test(
        "The checker reads each block by its part of the table", arguments: group.map(\.block) + software.map(\.block))
    func hints(block: String) throws {
        let found = GroupLanguage.check(Self.asking(block))
        let hint = try #require(found.first { $0.id == "unknown-key" && $0.message.contains("zzz") }?.hint)
        let words = hint.split(separator: "`").enumerated().filter { $0.offset % 2 == 0 }.map { String($0.element) }
        let keys = LanguageReference.keys.filter { $0.block == block }.map(\.name)
        #expect(!keys.isEmpty && Set(words.dropFirst()) == Set(keys), "\(hint)")
    }

    @Test("The manual has every key, fact, function and action, without the marks of the other page")
    func manual() {
        let sections = LanguageReference.sections
        #expect(sections.flatMap(\.terms).count == LanguageReference.keys.count)
        let terms = LanguageReference.facts + LanguageReference.functionTerms + LanguageReference.actionTerms
        for term in sections.flatMap(\.terms) + terms {
            #expect(term.meaning.count > 3 && !(term.title + term.meaning).contains("`"), "\(term)")
        }
    }

    @Test("What it says that a key takes is taken, and what is just beside is not", arguments: LanguageReference.keys)
    func keys(key: LanguageReference.Key) {
        // Blocks are tried by the keys in them.
        guard !key.good.isEmpty else {
            #expect(key.bad.isEmpty)
            return
        }
        let good = Self.text(key.block, key.name, key.good)
        let faults = GroupLanguage.check(good).filter { $0.severity == .error }
        #expect(faults.isEmpty, "\(faults) in \(good)")
        let bad = Self.text(key.block, key.name, key.bad)
        #expect(GroupLanguage.check(bad).contains { $0.severity == .error }, "\(bad)")
    }
}
