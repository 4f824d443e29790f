import Fleet
import Hummingbird

extension API {
    static var rolloutRoutes: [Route] {
        [
            Route(
                method: .get, path: "/v1/groups/{group}/rollout",
                summary: "The group's last rollout: waves, three counts, each machine, and what it waits for.",
                tag: "groups", needs: .viewer,
                answers: [.init(status: 200, says: "The rollout.", schema: "Rollout")], problems: [404]
            ) { api, incoming in
                try .json(try await api.operations.rollout(try incoming.parameter("group")))
            },
            Route(
                method: .get, path: "/v1/groups/{group}/rollouts",
                summary: "How the group's rollouts went, the newest first.", tag: "groups", needs: .viewer,
                answers: [.init(status: 200, says: "Up to 100 of them.", schema: "RolloutPage")], problems: [404]
            ) { api, incoming in
                let group = try incoming.parameter("group")
                _ = try await api.operations.group(group)
                return try .json(Page(items: try await api.operations.rollouts(group), next: nil))
            },
            Route(
                method: .get, path: "/v1/groups/{group}/explain",
                summary: "Why the group is as it is: what it waits for, for whom and until when, and what comes next.",
                tag: "groups", needs: .viewer,
                answers: [.init(status: 200, says: "Why.", schema: "GroupExplanation")], problems: [404]
            ) { api, incoming in
                try .json(try await api.operations.explain(group: try incoming.parameter("group")))
            },
        ] + RolloutInstruction.allCases.map(route)
    }

    private static func route(_ instruction: RolloutInstruction) -> Route {
        Route(
            method: .post, path: "/v1/groups/{group}/rollout/\(instruction.rawValue)", summary: instruction.summary,
            tag: "groups", needs: .operator, query: [Route.reason], body: Route.nothing,
            answers: [.init(status: 202, says: "Accepted.", schema: "Rollout")], problems: [400, 404, 409, 413]
        ) { api, incoming in
            try .json(
                try await api.operations.instruct(
                    rolloutOf: try incoming.parameter("group"), instruction,
                    because: try incoming.reason(incoming.query("reason")),
                    by: incoming.caller),
                status: .accepted)
        }
    }
}

extension RolloutInstruction {
    fileprivate var summary: String {
        switch self {
        case .promote: "The canaries will do: go on with the rest."
        case .pause: "No further machine is changed until `resume`; who drains takes new work again."
        case .resume: "Go on; machines that failed so far are accepted."
        case .abort: "Go back to the release before, in waves, under the same drain."
        }
    }
}
