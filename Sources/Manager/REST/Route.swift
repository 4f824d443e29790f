import Fleet
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

/// One call of the API: the router and the OpenAPI document are both made from this.
struct Route: Sendable {
    var method: HTTPRequest.Method
    /// With `{name}` for what varies.
    var path: String
    var summary: String
    var tag: String
    /// Needs no token.
    var isOpen = false
    /// Open, but whoever has a token is told more.
    var tellsHoldersMore = false
    /// The smallest role that it takes.
    var needs = Role.admin
    /// Whether the answer under an `Idempotency-Key` is kept for a repetition; not where it holds what is shown once.
    var keepsAnswer = true
    var query: [QueryParameter] = []
    /// Takes `If-Match` with a record's revision.
    var takesRevision = false
    var body: Body?
    /// The good answers; what goes wrong is the same everywhere.
    var answers: [Answer]
    /// Statuses of problems, beside 401 and those that every route with a body or a parameter has.
    var problems: [Int] = []
    var answer: @Sendable (API, Incoming) async throws -> Response

    /// How much of the manager it takes, and so how many may go on at once.
    enum Weight: Sendable { case light, upload, record }

    var weight: Weight {
        switch body {
        case .bundle: .upload
        case .whole(let types, _, _) where types.contains { $0.schema == "RecordText" }: .record
        default: .light
        }
    }

    enum Body: Sendable {
        /// Read as a whole; media types with their schema.
        case whole(types: [MediaType], largest: Int, isNeeded: Bool)
        /// A bundle, streamed.
        case bundle
    }

    struct MediaType: Sendable {
        var name: String
        var schema: String
    }

    struct Answer: Sendable {
        var status: Int
        var says: String
        /// Media type and the name of its schema; nil: no body.
        var type: String? = "application/json"
        var schema: String?
        var hasTag = false
    }

    struct QueryParameter: Sendable {
        var name: String
        var says: String
        var schema: String
    }

    static let record: Body = .whole(
        types: [
            MediaType(name: "text/plain", schema: "RecordText"), MediaType(name: "application/json", schema: "Record"),
        ],
        largest: 1 << 20, isNeeded: true)

    /// A record that is only looked at: what is wrong with it is the answer.
    static let anyRecord: Body = .whole(
        types: [
            MediaType(name: "text/plain", schema: "RecordText"),
            MediaType(name: "application/json", schema: "Anything"),
        ],
        largest: 1 << 20, isNeeded: true)

    static func json(_ schema: String) -> Body {
        .whole(types: [MediaType(name: "application/json", schema: schema)], largest: 64 << 10, isNeeded: true)
    }

    /// A POST that needs no body; one that comes is bounded and ignored.
    static let nothing: Body = .whole(types: [], largest: 64 << 10, isNeeded: false)

    static let reason = QueryParameter(
        name: "reason", says: "Why, in a line: it stands in the history and in the audit log.", schema: "Reason")

    static let paging = [
        QueryParameter(name: "after", says: "The `next` of the page before.", schema: "Cursor"),
        QueryParameter(name: "limit", says: "Items a page, 1 to 1000; 100 unless given.", schema: "Limit"),
    ]
}

/// A request, as far as it has been checked.
struct Incoming: Sendable {
    var request: Request
    var parameters: Parameters
    var caller: Caller
    /// Whether the caller has a token that is in force.
    var isAdmitted = false
    /// For answers that have no end.
    var beat = StreamBeat()
    var body = ByteBuffer()

    func parameter(_ name: String) throws -> String {
        guard let value = parameters.get(name), !value.isEmpty else {
            throw Refusal(code: .malformed, message: "The path lacks its \(name).")
        }
        // The router cuts the path as it came: a + in a version may have been sent as %2B.
        guard let decoded = value.removingPercentEncoding else {
            throw Refusal(code: .malformed, message: "\(value) in the path is not percent-encoded UTF-8.")
        }
        return decoded
    }

    func query(_ name: String) -> String? { request.uri.queryParameters.get(name) }

    /// A name in the query; nil: it is not there.
    func name(_ name: String) throws -> String? {
        guard let text = query(name) else { return nil }
        guard Name.isValid(text) else {
            throw Refusal(
                code: .malformed, message: "\(name) takes a name, made of a-z, 0-9 and -; got \(text.prefix(64)).")
        }
        return text
    }

    /// Names with commas between; nil: it is not there.
    func names(_ name: String, atMost limit: Int) throws -> Set<String>? {
        guard let text = query(name) else { return nil }
        let names = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        if let wrong = names.first(where: { !Name.isValid($0) }) {
            throw Refusal(
                code: .malformed,
                message:
                    "\(name) takes names with commas between, made of a-z, 0-9 and -; got \"\(wrong.prefix(64))\".")
        }
        guard names.count <= limit else {
            throw Refusal(code: .malformed, message: "\(name) takes \(limit) names at most; got \(names.count).")
        }
        return Set(names)
    }

    func limit() throws -> Int { try limit("limit") ?? 100 }

    /// Nil: it is not there.
    func limit(_ name: String) throws -> Int? {
        guard let text = query(name) else { return nil }
        guard let limit = Int(text), (1...1000).contains(limit) else {
            throw Refusal(code: .malformed, message: "\(name) must be 1 to 1000; got \(text.prefix(64)).")
        }
        return limit
    }

    func flag(_ name: String) throws -> Bool {
        switch query(name) {
        case nil, "false": false
        case "true": true
        case let other?: throw Refusal(code: .malformed, message: "\(name) must be true or false; got \(other).")
        }
    }

    func reference() throws -> SoftwareReference {
        let (name, version) = (try parameter("name"), try parameter("version"))
        guard let reference = SoftwareReference("\(name)@\(version)") else {
            throw Refusal(
                code: .malformed,
                message:
                    "\(name)/\(version) is not software's name and version: a-z, 0-9 and - in the name, then letters, digits, . _ + and -."
            )
        }
        return reference
    }

    /// Characters of what a person gives as the reason of a change.
    static let longestReason = 200

    /// Why, in a line; nil: nobody says.
    func reason(_ text: String?) throws -> String? {
        guard let text else { return nil }
        guard (1...Self.longestReason).contains(text.count) else {
            throw Refusal(
                code: .malformed, message: "reason is one line of 1 to \(Self.longestReason) characters.")
        }
        // What is no line is shown as one.
        return text.forPeople()
    }

    /// How long ago; nil: it is not there.
    func ago(_ name: String) throws -> TimeSpan? {
        guard let text = query(name) else { return nil }
        guard text.prefix(while: \.isNumber).count <= 6, let span = TimeSpan(text), span >= .zero else {
            throw Refusal(
                code: .malformed,
                message: "\(name) takes a length of time such as 10m, 2h or 1d; got \(text.prefix(64)).")
        }
        return span
    }

    /// A revision's number in the query; nil: it is not there.
    func revision(_ name: String) throws -> Int? {
        guard let text = query(name) else { return nil }
        return try Self.revision(text, name)
    }

    /// The revision in the path.
    func revisionNumber() throws -> Int { try Self.revision(try parameter("revision"), "The revision") }

    private static func revision(_ text: String, _ name: String) throws -> Int {
        guard text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let number = Int(text), number >= 1 else {
            throw Refusal(code: .malformed, message: "\(name) is a number from 1 on; got \(text.prefix(64)).")
        }
        return number
    }

    /// From `If-Match`; nil: the caller does not care.
    func revision() throws -> Int? {
        guard let text = request.headers[.ifMatch], text != "*" else { return nil }
        guard text.hasPrefix("\""), text.hasSuffix("\""), (3...20).contains(text.utf8.count),
            text.utf8.dropFirst().dropLast().allSatisfy({ $0 >= 48 && $0 <= 57 }),
            let revision = Int(text.dropFirst().dropLast())
        else {
            throw Refusal(
                code: .malformed,
                message: "If-Match takes the ETag that came with the record, such as \"3\"; got \(text).")
        }
        return revision
    }

    func record() throws -> RecordSource {
        let text = try text()
        return request.headers[.contentType]?.lowercased().hasPrefix("application/json") == true
            ? .json(text) : .text(text)
    }

    func text() throws -> String {
        guard let text = String(validating: body.readableBytesView, as: UTF8.self) else {
            throw Refusal(code: .malformed, message: "The body is not UTF-8 text.")
        }
        return text
    }
}

extension Request {
    /// The token of `Authorization: Bearer …`.
    var bearerToken: String? {
        guard let header = headers[.authorization], header.lowercased().hasPrefix("bearer ") else { return nil }
        let token = header.dropFirst("bearer ".count).drop { $0 == " " }
        return token.isEmpty ? nil : String(token)
    }

    func accepts(_ type: String) -> Bool { headers[.accept]?.lowercased().contains(type) == true }

    /// Whether `Accept` puts `type` before `other`, by quality and then by place; both must be named in full to count.
    func prefers(_ type: String, over other: String) -> Bool {
        var best: (name: String, quality: Double)?
        for range in (headers[.accept] ?? "").lowercased().split(separator: ",") {
            let parts = range.split(separator: ";").map { $0.filter { !$0.isWhitespace } }
            guard let name = parts.first, name == type || name == other else { continue }
            let quality = parts.dropFirst().first { $0.hasPrefix("q=") }.map { Double($0.dropFirst(2)) ?? 0 } ?? 1
            if quality > best?.quality ?? 0 { best = (name, quality) }
        }
        return best?.name == type
    }

    /// Without parameters, lower case.
    var mediaType: String? {
        headers[.contentType]?.split(separator: ";").first?.lowercased().filter { !$0.isWhitespace }
    }

    func wholeBody(types: [Route.MediaType], largest: Int, isNeeded: Bool) async throws -> ByteBuffer {
        if let length = headers[.contentLength].flatMap({ Int($0) }), length > largest {
            throw Refusal(code: .tooLarge, message: "The body has \(length) bytes; \(largest) are the most.")
        }
        let collected: ByteBuffer
        do { collected = try await body.collect(upTo: largest) } catch is NIOTooManyBytesError {
            throw Refusal(code: .tooLarge, message: "The body has more than \(largest) bytes.")
        }
        try requireWhole(collected.readableBytes)
        guard isNeeded else { return collected }
        guard types.contains(where: { $0.name == mediaType }) else {
            throw UnsupportedType(wanted: types.map(\.name))
        }
        return collected
    }
}

extension Request {
    /// Hummingbird ends a body quietly when its connection is closed from inside, as at a shutdown: half a body must not act.
    func requireWhole(_ size: Int) throws {
        try Task.checkCancellation()
        if let length = headers[.contentLength].flatMap({ Int($0) }), length != size {
            throw Refusal(code: .malformed, message: "The body broke off after \(size) of \(length) bytes.")
        }
    }
}

/// 415.
struct UnsupportedType: Error {
    var wanted: [String]
}

extension HTTPField.Name {
    static let idempotencyKey = HTTPField.Name("Idempotency-Key") ?? .expect
    static let lastEventID = HTTPField.Name("Last-Event-ID") ?? .expect
    static let digest = HTTPField.Name("Digest") ?? .expect
    static let reprDigest = HTTPField.Name("Repr-Digest") ?? .expect
}
