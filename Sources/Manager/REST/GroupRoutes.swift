import Fleet
import Foundation
import Hummingbird
import NIOCore

extension API {
    static var groupRoutes: [Route] {
        groupRecordRoutes + revisionRoutes + GroupInstruction.allCases.map(route) + [invitationRoute]
    }

    private static var groupRecordRoutes: [Route] {
        [
            Route(
                method: .post, path: "/v1/groups", summary: "Create a group from a record; nothing starts yet.",
                tag: "groups", needs: .editor,
                body: Route.record,
                answers: [.init(status: 201, says: "The group, `defined`.", schema: "Group", hasTag: true)],
                problems: [400, 409, 413, 415, 422]
            ) { api, incoming in
                let group = try await api.operations.createGroup(try incoming.record(), by: incoming.caller)
                return try .json(
                    group, status: .created, revision: group.revision, location: "/v1/groups/\(group.name)")
            },
            Route(
                method: .get, path: "/v1/groups", summary: "List groups, each with its live status.", tag: "groups",
                needs: .viewer,
                query: Route.paging, answers: [.init(status: 200, says: "A page.", schema: "GroupPage")],
                problems: [400]
            ) { api, incoming in
                try .json(
                    try await api.operations.groups(
                        after: incoming.query("after"), limit: try incoming.limit(), within: nil))
            },
            Route(
                method: .get, path: "/v1/groups/{group}",
                summary: "A group; as `text/plain` its record in the language.",
                tag: "groups", needs: .viewer,
                answers: [
                    .init(status: 200, says: "The group.", schema: "Group", hasTag: true),
                    .init(status: 200, says: "Its record.", type: "text/plain", schema: "RecordText", hasTag: true),
                ], problems: [404]
            ) { api, incoming in
                let group = try await api.operations.group(try incoming.parameter("group"))
                guard incoming.request.prefers("text/plain", over: "application/json") else {
                    return try .json(group, revision: group.revision)
                }
                var response = Response.text(ByteBuffer(string: group.text), type: "text/plain; charset=utf-8")
                response.headers[.eTag] = "\"\(group.revision)\""
                return response
            },
            Route(
                method: .get, path: "/v1/groups/{group}/record",
                summary: "The record in its JSON form, which can be sent like the text.",
                tag: "groups", needs: .viewer,
                answers: [.init(status: 200, says: "The record.", schema: "Record", hasTag: true)],
                problems: [404]
            ) { api, incoming in
                let group = try await api.operations.group(try incoming.parameter("group"))
                var response = Response.text(
                    ByteBuffer(string: try await api.operations.recordJSON(group.name)),
                    type: "application/json; charset=utf-8")
                response.headers[.eTag] = "\"\(group.revision)\""
                return response
            },
            Route(
                method: .put, path: "/v1/groups/{group}", summary: "Change a group's record: a new revision.",
                tag: "groups", needs: .editor,
                query: [
                    Route.reason,
                    .init(
                        name: "plan", says: "The id of a plan: refused with 412 where the group has moved on since.",
                        schema: "PlanID"),
                ], takesRevision: true, body: Route.record,
                answers: [
                    .init(status: 200, says: "The group, and what will change.", schema: "GroupChange", hasTag: true)
                ],
                problems: [400, 404, 409, 412, 413, 415, 422]
            ) { api, incoming in
                let changed = try await api.operations.changeGroup(
                    try incoming.parameter("group"), to: try incoming.record(),
                    reason: try incoming.reason(incoming.query("reason")), plan: incoming.query("plan"),
                    ifRevision: try incoming.revision(), by: incoming.caller)
                return try .json(
                    GroupChange(group: changed.group, plan: changed.plan), revision: changed.group.revision)
            },
            Route(
                method: .delete, path: "/v1/groups/{group}",
                summary:
                    "Remove a group that is stopped, or any with `force`; its launched machines go back to their platform, and their data with them.",
                tag: "groups", needs: .editor,
                query: [
                    .init(name: "force", says: "Also while it runs.", schema: "Flag"),
                    .init(
                        name: "forget",
                        says:
                            "Give up machines that nobody can hear, without a release: for a platform that is gone for good.",
                        schema: "Flag"),
                ],
                takesRevision: true,
                answers: [.init(status: 204, says: "It is gone; its machines are being released.", type: nil)],
                problems: [400, 404, 409, 412]
            ) { api, incoming in
                try await api.operations.removeGroup(
                    try incoming.parameter("group"), force: try incoming.flag("force"),
                    forget: try incoming.flag("forget"),
                    ifRevision: try incoming.revision(),
                    by: incoming.caller)
                return Response(status: .noContent)
            },
            Route(
                method: .post, path: "/v1/plan", summary: "What a record would change, per machine, with no effect.",
                tag: "groups", needs: .viewer,
                body: Route.record, answers: [.init(status: 200, says: "Step by step.", schema: "Plan")],
                problems: [400, 409, 413, 415, 422]
            ) { api, incoming in
                try .json(try await api.operations.plan(try incoming.record(), by: incoming.caller))
            },
            Route(
                method: .post, path: "/v1/replay",
                summary:
                    "What a record's rules would have done with what its group went through, with no effect.",
                tag: "groups", needs: .viewer,
                query: [.init(name: "over", says: "How far back; 24h without it.", schema: "Ago")],
                body: Route.record,
                answers: [.init(status: 200, says: "What only one side does, in order of time.", schema: "Replay")],
                problems: [400, 404, 409, 413, 415, 422, 503]
            ) { api, incoming in
                try .json(
                    try await api.operations.replay(
                        try incoming.record(), over: try incoming.ago("over") ?? .hours(24), by: incoming.caller))
            },
        ]
    }

    private static func route(_ instruction: GroupInstruction) -> Route {
        Route(
            method: .post, path: "/v1/groups/{group}/\(instruction.rawValue)", summary: instruction.summary,
            tag: "groups", needs: .operator,
            query: instruction == .stop
                ? [
                    .init(
                        name: "release",
                        says: "Give launched machines back to their platform, and their data with them.",
                        schema: "Flag")
                ] : [],
            takesRevision: true, body: Route.nothing,
            answers: [
                .init(
                    status: 202, says: "Accepted; what comes of it is in the group's status.", schema: "Group",
                    hasTag: true)
            ],
            problems: [400, 404, 409, 412, 413, 422]
        ) { api, incoming in
            let group = try await api.operations.instruct(
                try incoming.parameter("group"), instruction,
                release: instruction == .stop ? try incoming.flag("release") : false,
                ifRevision: try incoming.revision(), by: incoming.caller)
            return try .json(group, status: .accepted, revision: group.revision)
        }
    }

    private static var invitationRoute: Route {
        Route(
            method: .post, path: "/v1/groups/{group}/invitations",
            summary: "A boot ticket for machines of one's own (platform = none); it is a secret.", tag: "groups",
            needs: .editor,
            body: Route.json("Invitation"), answers: [.init(status: 201, says: "The ticket.", schema: "BootTicket")],
            problems: [400, 404, 409, 413, 415]
        ) { api, incoming in
            let request: InvitationRequest
            do {
                request = try JSONDecoder().decode(InvitationRequest.self, from: Data(incoming.body.readableBytesView))
            } catch {
                throw Refusal(
                    code: .malformed,
                    message:
                        "The body must be like {\"uses\": 3, \"ttl\": \"1h\"}: how many machines, and for how long.")
            }
            return try .json(
                try await api.operations.invite(to: try incoming.parameter("group"), request, by: incoming.caller),
                status: .created)
        }
    }
}

/// What a change of a record is answered with.
struct GroupChange: Codable, Sendable {
    var group: GroupView
    var plan: PlanView
}

extension GroupInstruction {
    fileprivate var summary: String {
        switch self {
        case .start: "Start it: machines launch, and get the software."
        case .stop: "Stop it: its machines stop their software, and keep their places and data."
        case .restart: "Restart the software of every machine once."
        case .pause: "No rule acts until `resume`."
        case .resume: "Rules act again."
        }
    }
}
