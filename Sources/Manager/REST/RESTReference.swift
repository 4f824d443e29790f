import Fleet
import Foundation
import HTTPTypes

/// The REST API for people, made from the routes as the OpenAPI document is: `trunkline manual rest` writes it.
package enum RESTReference {
    package static var markdown: String {
        var text = """
            # The REST API

            <!-- Written by `trunkline manual rest` from the manager's own routes; a test compares. -->

            JSON over HTTPS; `Authorization: Bearer TOKEN` but where it says *open*. The manager itself describes all of it with every member at `/openapi.json` (OpenAPI 3.1),
            and Schemathesis and a generated client are tried against that (`Tests/schemathesis/run`, `Tests/openapi-client/run`).

            - Errors are `application/problem+json` (RFC 9457): `title`, `detail`, `code`, and of a record every fault with line, column and hint.
            - Lists are `{"items": […], "next": …}`: `next` is the next page's `after`, and is missing behind the last. A page may have fewer items than `limit`, or none,
              and others behind it.
            - A record has an `ETag`; `If-Match` with it changes only what one has seen. A POST with an `Idempotency-Key` acts once, however often it comes.
            - Streams are Server-Sent Events (`Accept: text/event-stream`), which go on by `Last-Event-ID`.
            - HTTP/2 over TLS where the client asks for it (ALPN), so that a browser has as many streams as it wants on one connection; HTTP/1.1 else, and
              always without TLS. What is refused with a reset REFUSED_STREAM was not looked at and may be tried again.
            - Too many requests: 429 with `Retry-After`. Roles are in [security.md](security.md).

            With curl, as in the README:

            ```sh
            curl -sH "Authorization: Bearer $token" "$api/machines?state=away,failed&label=site=den"
            curl -sH "Authorization: Bearer $token" "$api/events?kind=rule.*&since=10m"
            curl -sH "Authorization: Bearer $token" "$api/events?last=20"
            ```

            """
        var tags: [String] = []
        for route in API.routes where !tags.contains(route.tag) { tags.append(route.tag) }
        for tag in tags {
            text += "\n## \(tag)\n\n| call | takes | needs | |\n| --- | --- | --- | --- |\n"
            for route in API.routes where route.tag == tag { text += row(route) }
        }
        return text
    }

    private static func row(_ route: Route) -> String {
        let takes = [body(route)] + route.query.map { "`?\($0.name)=` \($0.says)" }
        let needs = route.isOpen ? "*open*" : route.needs.rawValue
        let answers = route.answers.map { answer in
            "\(answer.status): \(answer.says)\(answer.type == "text/event-stream" ? " (stream)" : "")"
        }
        let cells = [
            "`\(route.method.rawValue) \(route.path)`", takes.compactMap(\.self).joined(separator: "<br>"), needs,
            ([route.summary] + answers).joined(separator: "<br>"),
        ]
        return "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |\n"
    }

    private static func body(_ route: Route) -> String? {
        switch route.body {
        case nil: nil
        case .bundle: "a bundle (`application/zstd` or `application/gzip`)"
        case .whole(let types, _, let isNeeded):
            types.isEmpty
                ? nil
                : types.map { "\($0.schema) (`\($0.name)`)" }.joined(separator: " or ")
                    + (isNeeded ? "" : ", if anything")
        }
    }
}
