import Crypto
import Fleet
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import OperatingSystem

/// `Idempotency-Key`: what comes twice acts once (draft-ietf-httpapi-idempotency-key-header).
extension API {
    func once(_ key: String, _ incoming: Incoming, _ body: () async throws -> Response) async throws -> Response {
        guard (1...255).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw Refusal(
                code: .malformed, message: "Idempotency-Key takes 1 to 255 printable characters without spaces.")
        }
        // Its twin may be at work at this moment: wait for what comes of that.
        let turn = "\(incoming.caller.name) \(key)"
        do throws(NoTurn) { try await inFlight.enter(turn) } catch {
            throw Refusal(
                code: .conflict, message: "This request is being worked on; ask again when its answer is there.")
        }
        defer { inFlight.leave(turn) }
        return try await onceAlone(key, incoming, body)
    }

    private func onceAlone(_ key: String, _ incoming: Incoming, _ body: () async throws -> Response) async throws
        -> Response
    {
        let request = fingerprint(of: incoming)
        if let kept = try await operations.answer(forKey: key, by: incoming.caller) {
            guard kept.request == request else {
                throw Refusal(
                    code: .conflict,
                    message: "This Idempotency-Key was used for another request; make a new key for each request.")
            }
            guard !kept.isMark else {
                throw Refusal(
                    code: .conflict,
                    message:
                        "This request was carried out, but the manager ended before its answer was kept; see what it did with: trunkline events"
                )
            }
            return kept.response
        }
        let mark = RequestMark(key: key, caller: incoming.caller.name, request: request)
        let response = try await RequestMark.$current.withValue(mark) { try await body() }
        // What was refused changed nothing and may be tried again.
        guard (200..<300).contains(response.status.code), let kept = try await IdempotentAnswer(response, to: request)
        else {
            return response
        }
        try await operations.keep(kept, forKey: key, by: incoming.caller)
        return kept.response
    }

    private func fingerprint(of incoming: Incoming) -> String {
        var hash = SHA256()
        let headers = [HTTPField.Name.contentType, .ifMatch].map { incoming.request.headers[$0] ?? "" }
        let head = [incoming.request.method.rawValue, "\(incoming.request.uri)"] + headers
        hash.update(data: Data((head.joined(separator: "\n") + "\n").utf8))
        hash.update(data: Data(incoming.body.readableBytesView))
        return hash.finalize().map { String(format: "%02x", $0) }.joined()
    }
}

extension IdempotentAnswer {
    private static let kept: [HTTPField.Name] = [.contentType, .eTag, .location]

    /// Nil where the answer is a stream.
    fileprivate init?(_ response: Response, to request: String) async throws {
        let collector = BodyCollector()
        try await response.body.write(collector)
        var headers: [String: String] = [:]
        for name in Self.kept { headers[name.rawName] = response.headers[name] }
        self.init(
            request: request, status: response.status.code, headers: headers,
            body: String(buffer: collector.bytes))
    }

    fileprivate var response: Response {
        var fields = HTTPFields()
        for (name, value) in headers { if let name = HTTPField.Name(name) { fields[name] = value } }
        fields[.cacheControl] = "no-store"
        return Response(
            status: HTTPResponse.Status(code: status), headers: fields,
            body: ResponseBody(byteBuffer: ByteBuffer(string: body)))
    }
}

/// Takes a short answer's bytes.
private final class BodyCollector: ResponseBodyWriter {
    var bytes = ByteBuffer()

    func write(_ buffer: ByteBuffer) async throws {
        var buffer = buffer
        bytes.writeBuffer(&buffer)
    }

    func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
