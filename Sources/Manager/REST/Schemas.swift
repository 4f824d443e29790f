import Fleet

/// What the API sends and takes, as JSON Schema (2020-12, as OpenAPI 3.1 has it).
enum Schemas {
    static var all: [String: Any] { words.merging(views) { first, _ in first }.merging(pages) { first, _ in first } }

    private static func text(
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

    private static func number(_ says: String = "", from: Int = 0, to: Int? = nil) -> [String: Any] {
        var schema: [String: Any] = ["type": "integer", "minimum": from]
        if !says.isEmpty { schema["description"] = says }
        schema["maximum"] = to
        return schema
    }

    private static var truth: [String: Any] { ["type": "boolean"] }
    private static var texts: [String: Any] { ["type": "object", "additionalProperties": ["type": "string"]] }
    private static var numbers: [String: Any] { ["type": "object", "additionalProperties": ["type": "number"]] }

    private static func object(_ required: [String: Any], optional: [String: Any] = [:]) -> [String: Any] {
        [
            "type": "object", "properties": required.merging(optional) { first, _ in first },
            "required": required.keys.sorted(),
        ]
    }

    private static func orNull(_ schema: String) -> [String: Any] {
        ["anyOf": [OpenAPI.reference(schema), ["type": "null"]]]
    }

    private static func list(_ schema: String) -> [String: Any] {
        ["type": "array", "items": OpenAPI.reference(schema)]
    }

    /// Each kind, and each family of them.
    private static var kinds: String {
        let all = EventEntry.Kind.allCases.map(\.rawValue)
        let families = Set(all.compactMap { $0.split(separator: ".").first.map(String.init) }).sorted()
        return (families.map { "\($0)\\.\\*" } + all.map { $0.replacing(".", with: "\\.") } + ["\\*"])
            .joined(separator: "|")
    }
    private static var states: String { MachineView.shownStates.joined(separator: "|") }

    private static var words: [String: Any] {
        [
            "Name": text("a-z, 0-9 and -.", pattern: "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", most: Name.longest),
            "SoftwareVersion": text(pattern: "^[A-Za-z0-9][A-Za-z0-9._+~-]*$", most: 64),
            "SoftwareCursor": text(
                "NAME@VERSION", pattern: "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?@[A-Za-z0-9][A-Za-z0-9._+~-]{0,63}$"),
            "Cursor": text(), "Limit": number(from: 1, to: 1000), "EventID": number(to: .max),
            "Flag": text(one: ["true", "false"]), "RevisionNumber": number(from: 1, to: 1 << 53),
            "PlanID": text(pattern: "^[0-9a-f]{16}$"),
            "Reason": text("In a line.", least: 1, most: Incoming.longestReason),
            "Tag": text("A revision in quotes, such as \"3\".", pattern: "^\"[0-9]{1,18}\"$", least: 3, most: 20),
            "Key": text(pattern: "^[!-~]{1,255}$"),
            "Digest": text("sha-256=:BASE64:"), "Words": text(), "EventStream": text("Server-sent events."),
            "RecordText": text("A record in Trunkline's language."),
            "Bundle": text("A gzip'd tar with a software.trunk."),
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

    private static var time: [String: Any] { OpenAPI.reference("Time") }

    private static var views: [String: Any] {
        [
            "Software": object([
                "name": text(), "version": text(), "service": text(), "digest": text("SHA-256, hex."),
                "size": number("Bytes."),
                "pushed": time,
            ]),
            "Group": object([
                "name": text(), "revision": number(from: 1), "state": text(one: ["defined", "running", "stopped"]),
                "service": text(),
                "software": text("NAME@VERSION"), "digest": text("SHA-256, hex."),
                "text": text("The record in the language."),
                "status": OpenAPI.reference("GroupStatus"), "changed": time, "by": text(),
            ]),
            "GroupStatus": object(
                [
                    "phase": text(one: GroupStatusView.Phase.allCases.map(\.rawValue)), "desired": number(),
                    "present": number(),
                    "verified": number(), "failed": number(), "away": number(),
                ], optional: ["holding": text("Why rules about absence hold.")]),
            "Rollout": object(
                [
                    "group": text(), "number": number(from: 1), "what": text(), "by": text(),
                    "phase": text(one: RolloutRecord.Phase.allCases.map(\.rawValue)), "began": time, "ok": number(),
                    "failed": number(), "away": number(), "waiting": number("Present, and not changed yet."),
                    "draining": number(), "changing": number(), "waves": list("Wave"),
                    "machines": list("RolloutMachine"),
                ],
                optional: [
                    "ended": time, "why": text("Why it is paused, went back or was aborted."),
                    "waits": text("What it waits for, and until when."), "drains": OpenAPI.reference("Drains"),
                    "revision": number("The record's when it began.", from: 1),
                ]),
            "RolloutSummary": object(
                [
                    "number": number(from: 1), "what": text(), "by": text(),
                    "phase": text(one: RolloutRecord.Phase.allCases.map(\.rawValue)), "began": time,
                    "waves": number(), "ok": number(), "failed": number(), "away": number(),
                ], optional: ["ended": time, "why": text(), "drains": OpenAPI.reference("Drains")]),
            "Drains": object([
                "machines": number("Drains that ended."), "overdue": number("Because their time was up."),
                "longest": OpenAPI.reference("Span"),
                "load": numbers, "left": numbers,
            ]),
            "Wave": object(
                [
                    "number": number(from: 1), "canary": truth,
                    "machines": ["type": "array", "items": text("Up to 100 of them.")], "count": number(),
                    "began": time, "ok": number(), "failed": number(), "away": number(),
                ], optional: ["ended": time]),
            "RolloutMachine": object(
                [
                    "machine": text(), "index": number(),
                    "standing": text(one: RolloutView.Machine.Standing.allCases.map(\.rawValue)),
                ],
                optional: [
                    "wave": number(from: 1), "reason": text("Why it failed."),
                    "load": ["type": "number", "description": "The metrics that its drain waits for."],
                ]),
            "GroupChange": object(["group": OpenAPI.reference("Group"), "plan": OpenAPI.reference("Plan")]),
            "Revision": object(
                [
                    "revision": number(from: 1), "by": text(), "at": time, "reason": text("Why it was made."),
                    "changed": text("What it changed, in a line."), "digest": text("SHA-256 of its software, hex."),
                    "verdict": OpenAPI.reference("Verdict"), "current": truth, "back": truth,
                    "rollouts": list("RolloutSummary"),
                ],
                optional: [
                    "software": text("NAME@VERSION"), "text": text("The record; where one revision is asked for."),
                ]),
            "RollbackRequest": object(
                [:],
                optional: [
                    "to": ["type": ["integer", "null"], "minimum": 1],
                    "reason": ["type": ["string", "null"], "maxLength": Incoming.longestReason],
                    "plan": orNull("PlanID"),
                ]
            ).merging(["additionalProperties": false]) { first, _ in first },
            "RecordChange": object(
                ["kind": text(one: RecordChange.Kind.allCases.map(\.rawValue)), "name": text()],
                optional: ["before": text("Absent: it was not there."), "after": text("Absent: it is gone.")]),
            "Difference": object([
                "group": text(), "from": number(from: 1), "to": number(from: 1),
                "text": text("The lines that differ, in the unified format."), "changes": list("RecordChange"),
            ]),
            "Check": object([
                "ok": truth, "diagnostics": list("Diagnostic"), "text": text("The same as a compiler prints it."),
            ]),
            "Verdict": object(
                ["state": text(one: VerdictView.State.allCases.map(\.rawValue))],
                optional: ["reason": text("Why it failed."), "at": time]),
            "Machine": object(
                [
                    "id": text(), "group": text(), "index": number(), "platform": text(),
                    "phase": text(one: ["launching", "joined", "leaving", "revoked"]), "since": time,
                    "state": OpenAPI.reference("MachineState"),
                    "generation": number("Of its current order; 0: none yet."), "verified": truth, "session": number(),
                    "metrics": numbers, "platform_state": text(one: PlatformState.allCases.map(\.rawValue)),
                ],
                optional: [
                    "software": OpenAPI.reference("RunningSoftware"), "away_since": time,
                    "key": text("Fingerprint of its security key."),
                    "facts": OpenAPI.reference("MachineFacts"), "reason": text(), "agent": text("Its agent's version."),
                    "isolation": text(one: Isolation.allCases.map(\.rawValue)),
                    "receiving": OpenAPI.reference("Receiving"),
                    "heard_at": time, "stopped_by": text("The rule that stopped it."),
                    "drain": text("Why it takes no new work.", one: ["change", "leave", "stop", "restart", "hand"]),
                    "drained": truth,
                ]),
            "RunningSoftware": object([
                "name": text(), "version": text(), "digest": text(), "generation": number(),
                "health": text(one: Health.allCases.map(\.rawValue)), "since": time, "restarts": number(),
            ]),
            "MachineFacts": object(
                ["host": text(), "os": text(), "arch": text(), "cores": number(), "memory": number("Bytes.")],
                optional: [
                    "agent": text("The agent's version when it registered."),
                    "isolation": text(one: Isolation.allCases.map(\.rawValue)),
                    "wires": ["type": "array", "items": number("A version of the wire that it speaks.", from: 1)],
                ]),
            "Receiving": object(
                ["digest": text(), "have": text("Parts that it has, such as 0-57,60.")],
                optional: ["index": truth]),
            "Plan": object(
                ["group": text(), "steps": list("PlanStep")],
                optional: [
                    "revision": number("Absent: the group does not exist yet."),
                    "changes": list("RecordChange"),
                    "notes": ["type": "array", "items": text("What a person should know besides.")],
                    "id": OpenAPI.reference("PlanID"), "course": OpenAPI.reference("Course"),
                ]),
            "Course": object(
                [
                    "waves": list("PlannedWave"),
                    "drains": ["type": "array", "items": text("Machines that are drained, in order; up to 100.")],
                    "takes": OpenAPI.reference("Span"), "promotion": truth,
                ], optional: ["waits": text("Why it would not come to an end by itself.")]),
            "PlannedWave": object([
                "canary": truth, "machines": ["type": "array", "items": text("Up to 100 of them.")], "count": number(),
            ]),
            "PlanStep": object(
                [
                    "index": number(),
                    "change": text(one: ["launch", "release", "replace-software", "restart", "stop", "nothing"]),
                    "detail": text(),
                ], optional: ["machine": text()]),
            "Explanation": object(
                [
                    "machine": text(), "group": text(), "state": OpenAPI.reference("MachineState"), "verified": truth,
                    "summary": text(),
                    "rules": list("RuleExplanation"), "events": list("Event"),
                ], optional: ["at": time]),
            "Replay": object([
                "group": text(), "from": time, "to": time, "events": number(), "gaps": list("ReplayGap"),
                "same": number("Acts of rules that stand in both."), "acts": list("ReplayAct"),
                "more": number("Acts that are not listed."), "remarks": ["type": "array", "items": text()],
            ]),
            "GroupExplanation": object([
                "group": text(), "revision": number(from: 1),
                "phase": text(one: GroupStatusView.Phase.allCases.map(\.rawValue)), "summary": text(),
                "waits": list("Wait"), "next": list("Wait"), "machines": list("DeviantMachine"),
                "more": number("Machines that are not listed."), "rules": list("RuleExplanation"),
                "events": list("Event"),
            ]),
            "Wait": object(["what": text("For people.")], optional: ["until": time]),
            "DeviantMachine": object([
                "machine": text(), "state": OpenAPI.reference("MachineState"), "standing": text("For people."),
            ]),
            "ReplayGap": object(["from": time, "to": time]),
            "ReplayAct": object(
                [
                    "at": time, "rule": text(), "action": text(), "facts": texts,
                    "would": [
                        "type": "boolean",
                        "description": "These rules would have; else those in force have, and these would not.",
                    ],
                ], optional: ["machine": text()]),
            "RuleExplanation": object(
                ["name": text(), "when": text(), "holds": truth, "facts": texts, "waits": text()],
                optional: ["due": time]),
            "Event": object(
                [
                    "id": number(from: 1), "at": time, "kind": text(one: EventEntry.Kind.allCases.map(\.rawValue)),
                    "actor": text(),
                    "message": text(), "facts": texts,
                ], optional: ["group": text(), "machine": text()]),
            "WatchSnapshot": object([
                "why": text(one: SnapshotView.Why.allCases.map(\.rawValue)), "version": text("The manager's."),
                "groups": number(), "machines": number(),
            ]),
            "WatchReady": object(["event": number("Events that follow have higher ids.")]),
            "WatchRemoved": object(["group": text()], optional: ["machine": text("Absent: the group itself.")]),
            "Log": object([
                "at": time, "stream": text(one: LogStream.allCases.map(\.rawValue)), "text": text(),
            ]),
            "Invitation": object(["uses": number(from: 1, to: MachineSet.most), "ttl": OpenAPI.reference("Span")]),
            "BootTicket": object(
                [
                    "v": number(from: 1), "group": text(), "broker": text(), "root": text(),
                    "group_key": text("X25519, base64."),
                    "ticket": text(), "secret": text("Base64."), "expires": time,
                ],
                optional: [
                    "machine": text(),
                    "boot": text("Where a machine without a certificate gets one; absent with a plain broker."),
                    "trust": text(
                        "The authorities whose word about the broker is to be believed, PEM; absent with a plain broker."
                    ),
                    "brokers": [
                        "type": "object",
                        "description":
                            "All addresses of the brokers, tried in turn; absent where there is one of each.",
                        "properties": [
                            "known": ["type": "array", "items": text()], "boot": ["type": "array", "items": text()],
                        ],
                    ],
                    "wire": [
                        "type": "array", "items": number("A version of the wire that the manager speaks.", from: 1),
                    ],
                ]),
            "Token": object(
                ["name": text(), "role": OpenAPI.reference("Role"), "created": time, "by": text()],
                optional: [
                    "groups": OpenAPI.reference("GroupPattern"), "expires": time, "revoked": time, "last_used": time,
                ]),
            "TokenRequest": object(
                ["name": OpenAPI.reference("Name"), "role": OpenAPI.reference("Role")],
                optional: [
                    "groups": orNull("GroupPattern"), "ttl": orNull("Span"),
                ]
            ).merging(["additionalProperties": false]) { first, _ in first },
            "MadeToken": object(
                ["token": text("Shown here and nowhere else."), "name": text(), "role": OpenAPI.reference("Role")],
                optional: ["groups": OpenAPI.reference("GroupPattern"), "expires": time]),
            "Status": object(
                [
                    "version": text("The manager's."), "ready": truth, "broker_connected": truth,
                    "boot_broker_connected": truth,
                    "groups": [
                        "type": "object", "additionalProperties": ["type": "integer"],
                        "description": "How many are in each phase.",
                    ],
                    "machines": object([
                        "present": number(), "verified": number(), "failed": number(), "away": number(),
                    ]),
                    "attention": list("Attention"),
                ],
                optional: [
                    "missing": text("Why it is not ready."),
                    "authority_expires": time,
                ]),
            "Attention": object(["group": text(), "what": text("What waits for a person.")]),
            "Caller": object(
                ["name": text(), "role": OpenAPI.reference("Role")],
                optional: ["groups": OpenAPI.reference("GroupPattern")]),
            "KeyRotation": object([
                "key": text("Names the new key."), "sealed": number("Values that were encrypted anew."),
            ]),
            "AuthorityRotation": object([
                "authority": text("Identifies the one that signs."), "trusted": number("1, or 2 during a change."),
            ]),
            "GroupKeyRotation": object([
                "group": text(), "key": text("Fingerprint of the new key."),
                "waiting": number("Machines that do not know it yet."),
            ]),
            "DebugCertificateRequest": object(["ttl": OpenAPI.reference("Span")]),
            "DebugCertificate": object([
                "name": text("Its common name."), "pem": text("Certificate and private key."), "expires": time,
            ]),
            "AuditEntry": object(
                [
                    "seq": number(from: 1), "at": time, "who": text(), "from": text(), "what": text(),
                    "subject": text(), "hash": text("Of this line and all before it."),
                ], optional: ["before": text("JSON."), "after": text("JSON.")]),
            "AuditVerdict": object(
                ["rows": number(), "ok": truth],
                optional: [
                    "fault": OpenAPI.reference("AuditFault"), "cut": number("The last line that is kept no longer."),
                ]),
            "AuditFault": object(["seq": ["type": "integer"], "what": text()]),
            "SecretValue": object(["value": text()]),
            "Problem": object(
                ["type": text(), "title": text(), "status": number(from: 400, to: 599), "detail": text()],
                optional: [
                    "diagnostics": list("Diagnostic"), "text": text("The diagnostics as a compiler prints them."),
                ]),
            "Diagnostic": object(
                [
                    "severity": text(one: DiagnosticView.Severity.allCases.map(\.rawValue)), "id": text(),
                    "line": number(from: 1), "column": number(from: 1), "length": number(from: 1),
                    "message": text(),
                ], optional: ["hint": text()]),
        ]
    }

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
