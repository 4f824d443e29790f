import Fleet

/// What the API sends and takes, as JSON Schema (2020-12, as OpenAPI 3.1 has it).
enum Schemas {
    static var all: [String: Any] {
        [words, groups, machines, history, access, pages].reduce(into: [:]) { all, some in
            all.merge(some) { first, _ in first }
        }
    }

    static func text(
        _ says: String = "", pattern: String? = nil, least: Int? = nil, most: Int? = nil, one of: [String]? = nil
    ) -> [String: Any] {
        var schema: [String: Any] = ["type": "string"]
        schema["minLength"] = least
        schema["maxLength"] = most
        if !says.isEmpty { schema["description"] = says }
        schema["pattern"] = pattern
        schema["enum"] = of
        return schema
    }

    static func number(_ says: String = "", from: Int = 0, to: Int? = nil) -> [String: Any] {
        var schema: [String: Any] = ["type": "integer", "minimum": from]
        if !says.isEmpty { schema["description"] = says }
        schema["maximum"] = to
        return schema
    }

    static var truth: [String: Any] { ["type": "boolean"] }
    static var texts: [String: Any] { ["type": "object", "additionalProperties": ["type": "string"]] }
    static var numbers: [String: Any] { ["type": "object", "additionalProperties": ["type": "number"]] }

    static func object(_ required: [String: Any], optional: [String: Any] = [:]) -> [String: Any] {
        [
            "type": "object", "properties": required.merging(optional) { first, _ in first },
            "required": required.keys.sorted(),
        ]
    }

    static func orNull(_ schema: String) -> [String: Any] {
        ["anyOf": [OpenAPI.reference(schema), ["type": "null"]]]
    }

    static func list(_ schema: String) -> [String: Any] {
        ["type": "array", "items": OpenAPI.reference(schema)]
    }

    /// Each kind, and each family of them.
    private static var kinds: String {
        let all = EventEntry.Kind.allCases.map(\.rawValue)
        let families = Set(all.compactMap { $0.split(separator: ".").first.map(String.init) }).sorted()
        return (families.map { "\($0)\\.\\*" } + all.map { $0.replacing(".", with: "\\.") } + ["\\*"])
            .joined(separator: "|")
    }
    /// A name, where the length of the whole says nothing of it.
    private static var name: String { "[a-z0-9]([a-z0-9-]{0,\(Name.longest - 2)}[a-z0-9])?" }
    private static var states: String { MachineView.shownStates.joined(separator: "|") }

    private static var words: [String: Any] {
        [
            "Name": text("a-z, 0-9 and -.", pattern: "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", most: Name.longest),
            "SoftwareVersion": text(pattern: "^[A-Za-z0-9][A-Za-z0-9._+~-]*$", most: 64),
            "SoftwareCursor": text(
                "NAME@VERSION", pattern: "^\(Self.name)@[A-Za-z0-9][A-Za-z0-9._+~-]{0,63}$"),
            "Cursor": text(), "Limit": number(from: 1, to: 1000), "EventID": number(to: .max),
            // Of each name the length, too: whoever makes requests from this document is not to be refused.
            "Names": text(
                "Names with commas between.", pattern: "^\(Self.name)(,\(Self.name)){0,\(SnapshotView.mostNamed - 1)}$"),
            "Flag": text(one: ["true", "false"]), "RevisionNumber": number(from: 1, to: 1 << 53),
            "PlanID": text(pattern: "^[0-9a-f]{16}$"),
            "Reason": text("In a line.", least: 1, most: Incoming.longestReason),
            "Tag": text("A revision in quotes, such as \"3\".", pattern: "^\"[0-9]{1,18}\"$", least: 3, most: 20),
            "Key": text(pattern: "^[!-~]{1,255}$"),
            "Digest": text("sha-256=:BASE64:"), "Words": text(), "EventStream": text("Server-sent events."),
            "RecordText": text("A record in Trunkline's language."),
            "Bundle": text("A tar with a software.trunk, compressed with zstd or gzip."),
            "Anything": [String: Any](), "Time": text("RFC 3339 in UTC, with milliseconds.", pattern: "Z$"),
            "Span": text("A length of time such as 500ms, 10s, 5m, 2h or 1d.", pattern: "^[0-9]+(ms|s|m|h|d)$"),
            "EventKinds": text(
                "Kinds or patterns of them between commas, such as machine.*,rule.acted.",
                pattern: "^(\(Self.kinds))(,(\(Self.kinds)))*$"),
            "ShownStates": text(
                "States between commas, such as away,failed.", pattern: "^(\(Self.states))(,(\(Self.states)))*$"),
            "Labels": [
                "type": "array", "items": text("Name and value, such as site=den.", pattern: "^[^=]+=", most: 200),
            ],
            "SearchText": text(least: 1, most: 100),
            "Ago": text("A length of time such as 10m, 2h or 1d.", pattern: "^[0-9]{1,6}(ms|s|m|h|d)$"),
            "Record": [
                "type": "object", "description": "A record in its JSON form; expressions are in the language.",
                "required": ["group"],
                "properties": [
                    "group": OpenAPI.reference("Name"), "service": text(), "software": text("NAME@VERSION"),
                    "agent": OpenAPI.reference("SoftwareVersion"),
                    "heartbeat": OpenAPI.reference("Span"), "machines": ["type": "object"], "env": ["type": "object"],
                    "rollout": ["type": "object"], "rules": ["type": "array", "items": ["type": "object"]],
                ],
            ],
            "Role": text(one: Role.allCases.map(\.rawValue)),
            "GroupPattern": text("Group names, with * and ?.", pattern: "^[a-z0-9*?-]{1,63}$"),
            "MachineState": text(one: MachineState.allCases.map(\.rawValue)),
        ]
    }

    static var time: [String: Any] { OpenAPI.reference("Time") }

    private static var pages: [String: Any] {
        func page(_ items: [String: Any]) -> [String: Any] {
            object(
                ["items": ["type": "array", "items": items]],
                optional: ["next": text("Give it as `after` for the next page.")])
        }
        return [
            "SoftwarePage": page(OpenAPI.reference("Software")), "GroupPage": page(OpenAPI.reference("Group")),
            "RolloutPage": page(OpenAPI.reference("Rollout")), "RevisionPage": page(OpenAPI.reference("Revision")),
            "MachinePage": page(OpenAPI.reference("Machine")),
            "TokenPage": page(OpenAPI.reference("Token")), "AuditPage": page(OpenAPI.reference("AuditEntry")),
            "LogPage": page(OpenAPI.reference("Log")), "LogTail": number(from: 0, to: LogRelay.longestTail),
            "EventPage": page(OpenAPI.reference("Event")), "NamePage": page(text()),
        ]
    }
}
