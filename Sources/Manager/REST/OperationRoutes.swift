import Fleet
import Hummingbird
import NIOCore

extension API {
    static var operationRoutes: [Route] {
        [
            Route(
                method: .get, path: "/healthz", summary: "The process lives.", tag: "operation", isOpen: true,
                answers: [.init(status: 200, says: "It does.", type: "text/plain", schema: "Words")]
            ) { _, _ in .text(ByteBuffer(string: "alive\n"), type: "text/plain; charset=utf-8") },
            Route(
                method: .get, path: "/readyz",
                summary: "Whether it has all that it needs to work; what is missing, to those with a token.",
                tag: "operation",
                isOpen: true, tellsHoldersMore: true, needs: .viewer,
                answers: [.init(status: 200, says: "It has.", type: "text/plain", schema: "Words")], problems: [503]
            ) { api, incoming in
                if let missing = await api.operations.notReady() {
                    throw Refusal(code: .unavailable, message: incoming.isAdmitted ? missing : "Not ready.")
                }
                return .text(ByteBuffer(string: "ready\n"), type: "text/plain; charset=utf-8")
            },
            Route(
                method: .get, path: "/v1/status",
                summary: "How the manager and its groups are, and what waits for a person.", tag: "operation",
                needs: .viewer, answers: [.init(status: 200, says: "How they are.", schema: "Status")]
            ) { api, _ in try .json(try await api.operations.status(within: nil)) },
            Route(
                method: .get, path: "/v1/whoami", summary: "Who calls, with which role and for which groups.",
                tag: "access", needs: .viewer, answers: [.init(status: 200, says: "The caller.", schema: "Caller")]
            ) { _, incoming in
                let caller = incoming.caller
                return try .json(CallerView(name: caller.name, role: caller.role, groups: caller.groups))
            },
            Route(
                method: .get, path: "/metrics", summary: "Counters and gauges in the Prometheus text format.",
                tag: "operation", needs: .viewer,
                answers: [.init(status: 200, says: "All of them.", type: "text/plain", schema: "Words")]
            ) { api, _ in
                .text(
                    ByteBuffer(string: await api.operations.metricsText(within: nil)),
                    type: "text/plain; version=0.0.4; charset=utf-8")
            },
            Route(
                method: .get, path: "/openapi.json", summary: "This description.", tag: "operation", isOpen: true,
                answers: [.init(status: 200, says: "OpenAPI 3.1.", schema: "Anything")]
            ) { api, _ in
                .text(ByteBuffer(bytes: try OpenAPI.document(of: api.routes)), type: "application/json; charset=utf-8")
            },
        ]
    }
}
