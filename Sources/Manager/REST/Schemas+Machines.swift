import Fleet

extension Schemas {
    /// Machines, and how they come.
    static var machines: [String: Any] {
        [
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
            "Log": object([
                "at": time, "stream": text(one: LogStream.allCases.map(\.rawValue)), "text": text(),
            ]),
        ]
    }
}
