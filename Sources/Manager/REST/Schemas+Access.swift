import Fleet

extension Schemas {
    /// Who may ask, what the manager says of itself, and its faults.
    static var access: [String: Any] {
        [
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
            "SecretValue": object(["value": text("Without NUL.", pattern: "^[^\\u0000]*$")]),
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
}
