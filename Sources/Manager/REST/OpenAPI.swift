import Fleet
import Foundation
import HTTPTypes

/// The OpenAPI 3.1 document, made from the routes, so that it can't say anything else than they do.
enum OpenAPI {
    static func document(of routes: [Route]) throws -> Data {
        var paths: [String: [String: Any]] = [:]
        for route in routes { paths[route.path, default: [:]][route.method.rawValue.lowercased()] = operation(route) }
        let document: [String: Any] = [
            "openapi": "3.1.0",
            "info": [
                "title": "Trunkline", "version": Version.text,
                "description":
                    "A cloud manager for telephony fleets: machine groups, their software, and rules that keep them as their records say.",
            ],
            "servers": [["url": "/"]],
            "security": [["token": [String]()]],
            "paths": paths,
            "components": [
                "securitySchemes": [
                    "token": [
                        "type": "http", "scheme": "bearer",
                        "description":
                            "A token with a role (viewer, operator, editor, admin), in `x-trunkline-role` the smallest that an operation takes, and possibly with a pattern of group names: groups outside it are 403, machines of theirs 404, lists leave them out.",
                    ]
                ],
                "schemas": Schemas.all,
                "responses": ["Problem": problem("What went wrong (RFC 9457).")],
            ],
        ]
        return try JSONSerialization.data(withJSONObject: document, options: [.sortedKeys, .withoutEscapingSlashes])
    }

    private static func operation(_ route: Route) -> [String: Any] {
        var operation: [String: Any] = [
            "summary": route.summary, "tags": [route.tag], "operationId": identifier(route),
            "responses": responses(route),
        ]
        let parameters = pathParameters(route) + queryParameters(route) + headerParameters(route)
        if !parameters.isEmpty { operation["parameters"] = parameters }
        if route.isOpen {
            operation["security"] = [[String: Any]]()
        } else {
            operation["x-trunkline-role"] = route.needs.rawValue
        }
        switch route.body {
        case .whole(let types, _, let isNeeded) where isNeeded || !types.isEmpty:
            let content = types.map { ($0.name, ["schema": reference($0.schema)]) }
            operation["requestBody"] =
                ["required": isNeeded, "content": Dictionary(uniqueKeysWithValues: content)] as [String: Any]
        case .bundle:
            operation["requestBody"] =
                [
                    "required": true,
                    "content": Dictionary(
                        uniqueKeysWithValues: ArrivedBundle.types.map { ($0, ["schema": reference("Bundle")]) }),
                ] as [String: Any]
        case .whole, nil: break
        }
        return operation
    }

    private static func identifier(_ route: Route) -> String {
        let words = route.path.split(whereSeparator: { "/{}.-".contains($0) }).filter { $0 != "v1" }
        return ([route.method.rawValue.lowercased()] + words.map(String.init)).joined(separator: "_")
    }

    private static func pathParameters(_ route: Route) -> [[String: Any]] {
        route.path.split(separator: "/").filter { $0.hasPrefix("{") }.map { part in
            let name = String(part.dropFirst().dropLast())
            return [
                "name": name, "in": "path", "required": true,
                "schema": reference(
                    ["version": "SoftwareVersion", "revision": "RevisionNumber"][name] ?? "Name"),
            ]
        }
    }

    private static func queryParameters(_ route: Route) -> [[String: Any]] {
        route.query.map { ["name": $0.name, "in": "query", "description": $0.says, "schema": reference($0.schema)] }
    }

    private static func headerParameters(_ route: Route) -> [[String: Any]] {
        var parameters: [[String: Any]] = []
        func add(_ name: String, _ says: String, _ schema: String) {
            parameters.append(["name": name, "in": "header", "description": says, "schema": reference(schema)])
        }
        if route.takesRevision { add("If-Match", "Only if the record is at this revision (its ETag).", "Tag") }
        if route.method == .post, route.keepsAnswer {
            add("Idempotency-Key", "A request that comes twice under one key acts once.", "Key")
        }
        if route.path == "/v1/events" { add("Last-Event-ID", "Where a stream goes on.", "EventID") }
        if case .bundle = route.body {
            add("Repr-Digest", "SHA-256 of the bundle (RFC 9530); what arrives otherwise is refused.", "Digest")
            add("Digest", "The same in the older form (RFC 3230).", "Digest")
        }
        return parameters
    }

    private static func responses(_ route: Route) -> [String: Any] {
        var responses: [String: Any] = [:]
        for (status, answers) in Dictionary(grouping: route.answers, by: \.status) {
            var response: [String: Any] = ["description": answers.map(\.says).joined(separator: " Or: ")]
            var content: [String: Any] = [:]
            for answer in answers {
                if let type = answer.type { content[type] = ["schema": reference(answer.schema ?? "Anything")] }
            }
            if !content.isEmpty { response["content"] = content }
            if answers.contains(where: \.hasTag) {
                response["headers"] = ["ETag": ["description": "The record's revision.", "schema": reference("Tag")]]
            }
            responses["\(status)"] = response
        }
        var problems = Set(route.problems)
        if !route.isOpen { problems.formUnion([401, 403, 429]) }
        // An Idempotency-Key may be malformed, or used for another request before.
        // Nothing can be recorded: the disk fails, or is full.
        if route.method != .get { problems.formUnion([503, 507]) }
        if route.method == .post { problems.formUnion([400, 409]) }
        for status in problems { responses["\(status)"] = ["$ref": "#/components/responses/Problem"] }
        responses["default"] = ["$ref": "#/components/responses/Problem"]
        return responses
    }

    private static func problem(_ says: String) -> [String: Any] {
        ["description": says, "content": ["application/problem+json": ["schema": reference("Problem")]]]
    }

    static func reference(_ schema: String) -> [String: Any] { ["$ref": "#/components/schemas/\(schema)"] }
}
