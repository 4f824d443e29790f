import Fleet
import Foundation
import Hummingbird

extension API {
    /// Who may do what, and who did.
    static var accessRoutes: [Route] {
        tokenRoutes + auditRoutes + [keyRoute, authorityRoute, groupKeyRoute, debugRoute]
    }

    private static var tokenRoutes: [Route] {
        [
            Route(
                method: .get, path: "/v1/tokens", summary: "Tokens of the API; their values never come out.",
                tag: "access", needs: .admin,
                answers: [.init(status: 200, says: "All of them, also those revoked.", schema: "TokenPage")]
            ) { api, _ in
                try .json(Page(items: try await api.operations.tokens()))
            },
            Route(
                method: .post, path: "/v1/tokens", summary: "Make a token; the answer is the only one that shows it.",
                tag: "access", needs: .admin, keepsAnswer: false, body: Route.json("TokenRequest"),
                answers: [.init(status: 201, says: "The token.", schema: "MadeToken")], problems: [400, 409, 413, 415]
            ) { api, incoming in
                let request: TokenRequest
                do {
                    request = try JSONDecoder().decode(TokenRequest.self, from: Data(incoming.body.readableBytesView))
                } catch {
                    throw Refusal(
                        code: .malformed,
                        message:
                            "The body must be like {\"name\": \"ci\", \"role\": \"editor\", \"groups\": \"edge-*\", \"ttl\": \"30d\"}; roles are \(Role.allCases.map(\.rawValue).joined(separator: ", "))."
                    )
                }
                return try .json(
                    try await api.operations.createToken(request, by: incoming.caller), status: .created,
                    location: "/v1/tokens/\(request.name)")
            },
            Route(
                method: .delete, path: "/v1/tokens/{token}", summary: "Revoke a token, from the next request on.",
                tag: "access", needs: .admin,
                answers: [.init(status: 204, says: "It is worth nothing any more.", type: nil)], problems: [404, 409]
            ) { api, incoming in
                try await api.operations.revokeToken(try incoming.parameter("token"), by: incoming.caller)
                return Response(status: .noContent)
            },
        ]
    }

    private static var auditRoutes: [Route] {
        [
            Route(
                method: .get, path: "/v1/audit", summary: "The audit log: every change, who made it and from where.",
                tag: "access", needs: .admin,
                query: [
                    .init(name: "after", says: "Behind the line with this number.", schema: "EventID"), Route.paging[1],
                ], answers: [.init(status: 200, says: "A page, the oldest first.", schema: "AuditPage")],
                problems: [400]
            ) { api, incoming in
                let text = incoming.query("after") ?? "0"
                guard let after = Int64(text), after >= 0 else {
                    throw Refusal(code: .malformed, message: "after takes the number of a line; got \(text).")
                }
                return try .json(try await api.operations.audit(after: after, limit: try incoming.limit()))
            },
            Route(
                method: .get, path: "/v1/audit/verify",
                summary: "Whether every line is as it was written and none is missing.", tag: "access", needs: .admin,
                answers: [.init(status: 200, says: "What was found.", schema: "AuditVerdict")]
            ) { api, _ in
                try .json(try await api.operations.verifyAudit())
            },
        ]
    }

    private static var keyRoute: Route {
        Route(
            method: .post, path: "/v1/keys/master/rotate",
            summary: "A new master key: everything that is kept is encrypted anew.", tag: "access", needs: .admin,
            body: Route.nothing, answers: [.init(status: 200, says: "It is done.", schema: "KeyRotation")],
            problems: [409, 413, 503]
        ) { api, incoming in
            try .json(try await api.operations.rotateMasterKey(by: incoming.caller))
        }
    }

    private static var authorityRoute: Route {
        Route(
            method: .post, path: "/v1/keys/ca/rotate",
            summary: "A new certificate authority: first trusted beside the old one, then alone.", tag: "access",
            needs: .admin,
            query: [
                .init(name: "finish", says: "Trust only the new one from now on.", schema: "Flag"),
                .init(name: "force", says: "Also where machines have no certificate of it yet.", schema: "Flag"),
            ], body: Route.nothing, answers: [.init(status: 200, says: "It is done.", schema: "AuthorityRotation")],
            problems: [400, 409, 413]
        ) { api, incoming in
            try .json(
                try await api.operations.rotateAuthority(
                    finish: try incoming.flag("finish"), force: try incoming.flag("force"), by: incoming.caller))
        }
    }

    private static var groupKeyRoute: Route {
        Route(
            method: .post, path: "/v1/groups/{group}/keys/rotate",
            summary:
                "A new key for a group: each machine hears of it in its order, and the old one goes when all know it.",
            tag: "access", needs: .admin,
            query: [
                .init(
                    name: "force", says: "Also where machines or tickets know only the key before: they are given up.",
                    schema: "Flag")
            ], body: Route.nothing, answers: [.init(status: 200, says: "It is in use.", schema: "GroupKeyRotation")],
            problems: [400, 404, 409, 413]
        ) { api, incoming in
            try .json(
                try await api.operations.rotateGroupKey(
                    try incoming.parameter("group"), force: try incoming.flag("force"), by: incoming.caller))
        }
    }

    private static var debugRoute: Route {
        Route(
            method: .post, path: "/v1/debug-certificates",
            summary: "A short-lived certificate that reads the broker's traffic and can say nothing.", tag: "access",
            needs: .admin, keepsAnswer: false, body: Route.json("DebugCertificateRequest"),
            answers: [.init(status: 201, says: "The certificate and its key.", schema: "DebugCertificate")],
            problems: [400, 409, 413, 415]
        ) { api, incoming in
            let request: DebugCertificateRequest
            do {
                request = try JSONDecoder().decode(
                    DebugCertificateRequest.self, from: Data(incoming.body.readableBytesView))
            } catch {
                throw Refusal(code: .malformed, message: "The body must be like {\"ttl\": \"1h\"}.")
            }
            return try .json(
                try await api.operations.debugCertificate(request, by: incoming.caller), status: .created)
        }
    }
}
