import Fleet
import Foundation
import Hummingbird

extension API {
    static var secretRoutes: [Route] {
        [
            Route(
                method: .get, path: "/v1/secrets", summary: "Names of secrets; values never come out.", tag: "secrets",
                needs: .editor,
                answers: [.init(status: 200, says: "All of them.", schema: "NamePage")]
            ) { api, _ in
                try .json(Page(items: try await api.operations.secrets()))
            },
            Route(
                method: .put, path: "/v1/secrets/{secret}",
                summary: "Set a secret that records name with secret(\"…\").",
                tag: "secrets", needs: .admin, body: Route.json("SecretValue"),
                answers: [.init(status: 204, says: "It is set.", type: nil)],
                problems: [400, 413, 415, 422]
            ) { api, incoming in
                struct Given: Decodable { var value: String }
                let given: Given
                do { given = try JSONDecoder().decode(Given.self, from: Data(incoming.body.readableBytesView)) } catch {
                    throw Refusal(code: .malformed, message: "The body must be {\"value\": \"…\"}.")
                }
                try await api.operations.setSecret(
                    try incoming.parameter("secret"), to: given.value, by: incoming.caller)
                return Response(status: .noContent)
            },
            Route(
                method: .delete, path: "/v1/secrets/{secret}", summary: "Remove a secret that no record names.",
                tag: "secrets", needs: .admin,
                answers: [.init(status: 204, says: "It is gone.", type: nil)], problems: [404, 409]
            ) { api, incoming in
                try await api.operations.removeSecret(try incoming.parameter("secret"), by: incoming.caller)
                return Response(status: .noContent)
            },
        ]
    }
}
