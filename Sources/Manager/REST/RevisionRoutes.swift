import Fleet
import Foundation
import Hummingbird
import NIOCore

extension API {
    /// What records were, how they differ, and the way back.
    static var revisionRoutes: [Route] {
        [
            Route(
                method: .get, path: "/v1/groups/{group}/revisions",
                summary: "Every revision of the record: who, when, why, what it changed, and what came of it.",
                tag: "groups", needs: .viewer,
                answers: [.init(status: 200, says: "All that are kept, the newest first.", schema: "RevisionPage")],
                problems: [404]
            ) { api, incoming in
                try .json(try await api.operations.revisions(try incoming.parameter("group")))
            },
            Route(
                method: .get, path: "/v1/groups/{group}/revisions/{revision}",
                summary: "One revision; as `text/plain` its record in the language.", tag: "groups", needs: .viewer,
                answers: [
                    .init(status: 200, says: "The revision.", schema: "Revision"),
                    .init(status: 200, says: "Its record.", type: "text/plain", schema: "RecordText"),
                ], problems: [400, 404]
            ) { api, incoming in
                let revision = try await api.operations.revision(
                    try incoming.revisionNumber(), of: try incoming.parameter("group"))
                guard incoming.request.prefers("text/plain", over: "application/json") else {
                    return try .json(revision)
                }
                return .text(ByteBuffer(string: revision.text ?? ""), type: "text/plain; charset=utf-8")
            },
            Route(
                method: .get, path: "/v1/groups/{group}/revisions/{revision}/record",
                summary: "One revision's record in its JSON form.", tag: "groups", needs: .viewer,
                answers: [.init(status: 200, says: "The record.", schema: "Record")], problems: [400, 404]
            ) { api, incoming in
                let json = try await api.operations.recordJSON(
                    try incoming.revisionNumber(), of: try incoming.parameter("group"))
                return .text(ByteBuffer(string: json), type: "application/json; charset=utf-8")
            },
            Route(
                method: .get, path: "/v1/groups/{group}/revisions/{revision}/plan",
                summary: "What rolling back to a revision would change, per machine, with no effect.", tag: "groups",
                needs: .viewer, answers: [.init(status: 200, says: "Step by step.", schema: "Plan")],
                problems: [400, 404, 422]
            ) { api, incoming in
                try .json(
                    try await api.operations.planRollback(
                        try incoming.parameter("group"), to: try incoming.revisionNumber()))
            },
            Route(
                method: .get, path: "/v1/groups/{group}/diff", summary: "How two revisions of the record differ.",
                tag: "groups", needs: .viewer,
                query: [
                    .init(
                        name: "from", says: "A revision; the one before `to` unless given.", schema: "RevisionNumber"),
                    .init(name: "to", says: "A revision; the one in force unless given.", schema: "RevisionNumber"),
                ],
                answers: [
                    .init(
                        status: 200, says: "Line by line, and by what changed; secrets by their names only.",
                        schema: "Difference")
                ], problems: [400, 404]
            ) { api, incoming in
                try .json(
                    try await api.operations.difference(
                        of: try incoming.parameter("group"), from: try incoming.revision("from"),
                        to: try incoming.revision("to")))
            },
            Route(
                method: .post, path: "/v1/groups/{group}/rollback",
                summary:
                    "A new revision with what an earlier one said: the last good one before what is in force, or the one that is named.",
                tag: "groups", needs: .operator, takesRevision: true,
                body: .whole(
                    types: [.init(name: "application/json", schema: "RollbackRequest")], largest: 64 << 10,
                    isNeeded: false),
                answers: [
                    .init(
                        status: 202, says: "Accepted; what comes of it is in the group's status.", schema: "Group",
                        hasTag: true)
                ], problems: [400, 404, 409, 412, 413, 422]
            ) { api, incoming in
                var request = RollbackRequest()
                if incoming.body.readableBytes > 0 {
                    do {
                        request = try JSONDecoder().decode(
                            RollbackRequest.self, from: Data(incoming.body.readableBytesView))
                    } catch {
                        throw Refusal(
                            code: .malformed,
                            message:
                                "The body must be like {\"to\": 3, \"reason\": \"…\"}, or empty: the last good revision."
                        )
                    }
                    request.reason = try incoming.reason(request.reason)
                }
                let group = try await api.operations.rollBack(
                    try incoming.parameter("group"), request, ifRevision: try incoming.revision(),
                    by: incoming.caller)
                return try .json(group, status: .accepted, revision: group.revision)
            },
            Route(
                method: .post, path: "/v1/check",
                summary: "What the language says of a record or of software's manifest, with no effect.",
                tag: "groups", needs: .viewer, body: Route.anyRecord,
                answers: [
                    .init(
                        status: 200, says: "Errors, with which it would be refused, and warnings.", schema: "Check")
                ], problems: [400, 413, 415]
            ) { api, incoming in try .json(try await api.operations.check(try incoming.record())) },
        ]
    }
}
