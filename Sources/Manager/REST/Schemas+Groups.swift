import Fleet

extension Schemas {
    /// Software, records, what became of them and what would.
    static var groups: [String: Any] {
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
        ]
    }
}
