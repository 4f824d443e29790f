import Fleet

extension Schemas {
    /// What happened, why, and what is heard of it as it happens.
    static var history: [String: Any] {
        [
            "Explanation": object(
                [
                    "machine": text(), "group": text(), "state": OpenAPI.reference("MachineState"), "verified": truth,
                    "summary": text(),
                    "rules": list("RuleExplanation"), "events": list("Event"),
                ], optional: ["at": time]),
            "RuleExplanation": object(
                ["name": text(), "when": text(), "holds": truth, "facts": texts, "waits": text()],
                optional: ["due": time]),
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
            "Replay": object([
                "group": text(), "from": time, "to": time, "events": number(), "gaps": list("ReplayGap"),
                "same": number("Acts of rules that stand in both."), "acts": list("ReplayAct"),
                "more": number("Acts that are not listed."), "remarks": ["type": "array", "items": text()],
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
        ]
    }
}
