import Fleet
import Foundation
import HummingbirdTesting
import HTTPTypes
import Testing

@testable import Manager

@Suite("The OpenAPI document")
struct DescriptionTests {
    @Test("Every operation answers on the router, every route is described, every reference leads somewhere")
    func routes() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                let document = try OpenAPIDocument(try await ask(.get, "/openapi.json").body)
                #expect(document.operations.count == site.api.routes.count)
                #expect(Set(document.operations.map(\.id)).count == document.operations.count)
                #expect(document.danglingReferences.isEmpty, "\(document.danglingReferences)")
                for operation in document.operations {
                    let path = operation.path.replacing(/\{[a-z]+\}/, with: "x")
                    let method = try #require(HTTPRequest.Method(operation.method.uppercased()))
                    let reply = try await ask(method, path)
                    #expect(reply.status != 405 && !reply.body.contains("There is nothing at"), "\(method) \(path)")
                }
                for route in site.api.routes {
                    let said = document.operation(route.method.rawValue.lowercased(), route.path)
                    let role = said?["x-trunkline-role"] as? String
                    #expect(role == (route.isOpen ? nil : route.needs.rawValue), "\(route.method) \(route.path)")
                    let answers = said?["responses"] as? [String: Any] ?? [:]
                    for status in ["401", "403", "429"] {
                        #expect((answers[status] != nil) == !route.isOpen, "\(route.method) \(route.path)")
                    }
                }
            }
        }
    }

    @Test("Good answers are as their schemas say, no property more or less", arguments: [false, true])
    func answers(secure: Bool) async throws {
        try await Site.with(secure: secure) { site in
            try await site.rest { ask in
                let document = try OpenAPIDocument(try await ask(.get, "/openapi.json").body)
                var checked: Set<String> = []
                func check(_ reply: Asker.Reply, _ method: String, _ path: String) throws {
                    checked.insert("\(method) \(path)")
                    #expect((200..<300).contains(reply.status), "\(method) \(path): \(reply.body)")
                    let schema = try #require(document.schema(method, path, reply.status), "\(method) \(path)")
                    let value = try JSONSerialization.jsonObject(with: Data(reply.body.utf8))
                    #expect(document.faults(value, schema, path).isEmpty, "\(document.faults(value, schema, path))")
                }
                let name = "/v1/software/{name}/{version}"
                try check(try await ask.push(try site.bundle()), "put", name)
                try check(try await ask.push(try site.bundle("next"), "next/1"), "put", name)
                try check(try await ask(.get, "/v1/software/soft/1"), "get", name)
                try check(try await ask(.get, "/v1/software?limit=1"), "get", "/v1/software")
                try check(try await ask(.post, "/v1/plan", Site.record()), "post", "/v1/plan")
                try check(try await ask(.post, "/v1/groups", Site.record()), "post", "/v1/groups")
                try check(try await ask(.get, "/v1/groups"), "get", "/v1/groups")
                let group = "/v1/groups/{group}"
                try check(try await ask(.get, "/v1/groups/test"), "get", group)
                try check(try await ask(.get, "/v1/groups/test/record"), "get", group + "/record")
                for instruction in ["start", "pause", "resume", "restart"] {
                    let reply = try await ask(.post, "/v1/groups/test/\(instruction)")
                    try check(reply, "post", "\(group)/\(instruction)")
                }
                for instruction in ["pause", "resume", "abort"] {
                    let reply = try await ask(.post, "/v1/groups/test/rollout/\(instruction)?reason=because")
                    try check(reply, "post", "\(group)/rollout/\(instruction)")
                }
                try check(try await ask(.get, "/v1/groups/test/rollout"), "get", group + "/rollout")
                try check(try await ask(.get, "/v1/groups/test/rollouts"), "get", group + "/rollouts")
                try check(try await ask(.get, "/v1/groups/test/explain"), "get", group + "/explain")
                try check(try await ask(.get, "/v1/status"), "get", "/v1/status")
                try check(try await ask(.get, "/v1/whoami"), "get", "/v1/whoami")
                try check(try await ask(.put, "/v1/groups/test", Site.record(software: "next@1")), "put", group)
                try check(try await ask(.post, "/v1/groups/test/rollback"), "post", group + "/rollback")
                try check(try await ask(.get, "/v1/groups/test/revisions"), "get", group + "/revisions")
                let revision = group + "/revisions/{revision}"
                try check(try await ask(.get, "/v1/groups/test/revisions/1"), "get", revision)
                try check(try await ask(.get, "/v1/groups/test/revisions/1/record"), "get", revision + "/record")
                try check(try await ask(.get, "/v1/groups/test/revisions/2/plan"), "get", revision + "/plan")
                try check(try await ask(.get, "/v1/groups/test/diff?from=1&to=2"), "get", group + "/diff")
                try check(try await ask(.post, "/v1/check", "group {"), "post", "/v1/check")
                let machines = try await ask(.get, "/v1/machines?group=test")
                try check(machines, "get", "/v1/machines")
                let page = try JSONDecoder().decode(Page<MachineView>.self, from: Data(machines.body.utf8))
                let id = try #require(page.items.first?.id)
                let machine = "/v1/machines/{machine}"
                try check(try await ask(.get, "/v1/machines/\(id)"), "get", machine)
                try check(try await ask(.get, "/v1/machines/\(id)/explain"), "get", machine + "/explain")
                try check(try await ask(.post, "/v1/replay", Site.record(software: "next@1")), "post", "/v1/replay")
                for instruction in ["restart", "replace", "revoke"] {
                    let reply = try await ask(.post, "/v1/machines/\(id)/\(instruction)")
                    try check(reply, "post", "\(machine)/\(instruction)")
                }
                try check(try await ask(.post, "/v1/groups/test/stop"), "post", group + "/stop")
                _ = try await ask(.post, "/v1/groups", Site.record("own", platform: "none"))
                let invitation = try await ask(
                    .post, "/v1/groups/own/invitations", "{\"uses\": 1, \"ttl\": \"1h\"}", type: "application/json")
                try check(invitation, "post", group + "/invitations")
                let secret = try await ask(.put, "/v1/secrets/a", "{\"value\": \"x\"}", type: "application/json")
                #expect(secret.status == 204)
                try check(try await ask(.get, "/v1/secrets"), "get", "/v1/secrets")
                let token = "{\"name\": \"ci\", \"role\": \"editor\", \"groups\": \"edge-*\", \"ttl\": \"30d\"}"
                let made = try await ask(.post, "/v1/tokens", token, type: "application/json")
                try check(made, "post", "/v1/tokens")
                #expect(try await ask(.delete, "/v1/tokens/ci").status == 204)
                try check(try await ask(.get, "/v1/tokens"), "get", "/v1/tokens")
                try check(try await ask(.post, "/v1/keys/master/rotate"), "post", "/v1/keys/master/rotate")
                try check(try await ask(.get, "/v1/audit?limit=1000"), "get", "/v1/audit")
                try check(try await ask(.get, "/v1/audit/verify"), "get", "/v1/audit/verify")
                try check(try await ask(.get, "/v1/events?limit=1000"), "get", "/v1/events")
                // Where machines have no certificates there is no authority either, and nobody hears of a new key.
                let ofCertificates: Set = [
                    "post /v1/keys/ca/rotate", "post /v1/debug-certificates", "post \(group)/keys/rotate",
                ]
                if secure {
                    try check(try await ask(.post, "/v1/keys/ca/rotate"), "post", "/v1/keys/ca/rotate")
                    let key = try await ask(.post, "/v1/groups/own/keys/rotate?force=true")
                    try check(key, "post", group + "/keys/rotate")
                    let debug = try await ask(
                        .post, "/v1/debug-certificates", "{\"ttl\": \"1h\"}", type: "application/json")
                    try check(debug, "post", "/v1/debug-certificates")
                }
                // Only a machine can answer with its log, and here is none: `LogTests` ask a real one.
                let ofLogs: Set = ["get \(machine)/logs"]
                // Only a machine that runs can drain, and be a canary: `RolloutRouteTests` have one.
                let ofMachines: Set = [
                    "post \(machine)/drain", "post \(machine)/undrain", "post \(group)/rollout/promote",
                ]
                let missed = document.answering.subtracting(checked).subtracting(secure ? [] : ofCertificates)
                    .subtracting(ofLogs).subtracting(ofMachines)
                #expect(missed == ["get /openapi.json"], "every operation that answers with JSON is asked here")
            }
        }
    }
}

/// As much of OpenAPI and JSON Schema as the document uses.
struct OpenAPIDocument {
    struct Operation {
        var method: String
        var path: String
        var id: String
    }

    private let document: [String: Any]

    init(_ text: String) throws {
        document = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] ?? [:]
    }

    private var paths: [String: [String: [String: Any]]] {
        document["paths"] as? [String: [String: [String: Any]]] ?? [:]
    }

    var operations: [Operation] {
        paths.flatMap { path, methods in
            methods.map { Operation(method: $0, path: path, id: $1["operationId"] as? String ?? "") }
        }
    }

    func operation(_ method: String, _ path: String) -> [String: Any]? { paths[path]?[method] }

    /// The operations whose good answer is JSON.
    var answering: Set<String> {
        Set(
            operations.filter { operation in
                (200..<300).contains { schema(operation.method, operation.path, $0) != nil }
            }.map { "\($0.method) \($0.path)" })
    }

    func schema(_ method: String, _ path: String, _ status: Int) -> [String: Any]? {
        let responses = paths[path]?[method]?["responses"] as? [String: [String: Any]]
        let content = responses?["\(status)"]?["content"] as? [String: [String: Any]]
        return content?["application/json"]?["schema"] as? [String: Any]
    }

    var danglingReferences: [String] { references(in: document).filter { resolve($0) == nil } }

    private func references(in value: Any) -> [String] {
        if let list = value as? [Any] { return list.flatMap(references) }
        guard let object = value as? [String: Any] else { return [] }
        return object.flatMap { key, value in key == "$ref" ? [value as? String ?? ""] : references(in: value) }
    }

    private func resolve(_ reference: String) -> [String: Any]? {
        var place: Any? = document
        for part in reference.split(separator: "/").dropFirst() { place = (place as? [String: Any])?[String(part)] }
        return place as? [String: Any]
    }

    /// Where `value` is not what the schema says; a property that the schema does not name is a fault as well.
    func faults(_ value: Any, _ schema: [String: Any], _ place: String) -> [String] {
        if let reference = schema["$ref"] as? String {
            return resolve(reference).map { faults(value, $0, place) } ?? ["\(place): \(reference) leads nowhere"]
        }
        if let words = schema["enum"] as? [String], let word = value as? String, !words.contains(word) {
            return ["\(place): \(word) is none of \(words)"]
        }
        switch schema["type"] as? String {
        case "string": return value is String ? [] : ["\(place): no string"]
        case "boolean": return value is Bool ? [] : ["\(place): no boolean"]
        case "integer": return value is Int ? [] : ["\(place): no integer"]
        case "number": return value is Double || value is Int ? [] : ["\(place): no number"]
        case "array":
            guard let items = value as? [Any], let item = schema["items"] as? [String: Any] else {
                return ["\(place): no array"]
            }
            return items.enumerated().flatMap { faults($1, item, "\(place)[\($0)]") }
        case "object":
            guard let object = value as? [String: Any] else { return ["\(place): no object"] }
            return objectFaults(object, schema, place)
        default: return []
        }
    }

    private func objectFaults(_ object: [String: Any], _ schema: [String: Any], _ place: String) -> [String] {
        let missing = (schema["required"] as? [String] ?? []).filter { object[$0] == nil }
        let known = schema["properties"] as? [String: [String: Any]]
        let others = schema["additionalProperties"] as? [String: Any]
        return missing.map { "\(place).\($0) is missing" }
            + object.flatMap { name, value in
                if let property = known?[name] ?? others { return faults(value, property, "\(place).\(name)") }
                return known == nil ? [] : ["\(place).\(name) is not in the schema"]
            }
    }
}
