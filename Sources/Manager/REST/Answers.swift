import Fleet
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOHTTP1
import OperatingSystem
import Records

/// JSON that only shows itself, also at a terminal that knows nothing of JSON.
enum PlainJSON {
    static func encode(_ value: some Encodable) throws -> [UInt8] {
        let json = try JSONText.bytes(of: value)
        guard json.contains(where: { $0 >= 0x7f }) else { return json }
        return Array(String(decoding: json, as: UTF8.self).plainJSON.utf8)
    }
}

extension Response {
    /// JSON with sorted keys, so that the same thing is the same bytes.
    static func json(
        _ value: some Encodable, status: HTTPResponse.Status = .ok, revision: Int? = nil, location: String? = nil
    )
        throws -> Response
    {
        var response = text(
            ByteBuffer(bytes: try PlainJSON.encode(value)), type: "application/json; charset=utf-8", status: status)
        if let revision { response.headers[.eTag] = "\"\(revision)\"" }
        response.headers[.location] = location
        return response
    }

    static func text(_ body: ByteBuffer, type: String, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: type, .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: body))
    }
}

/// RFC 9457.
extension Problem {
    init(_ status: HTTPResponse.Status, _ detail: String) {
        self.init(title: status.reasonPhrase, status: status.code, detail: detail)
    }

    init(_ refusal: Refusal) {
        let status: HTTPResponse.Status =
            switch refusal.code {
            case .malformed: .badRequest
            case .forbidden: .forbidden
            case .notFound: .notFound
            case .conflict: .conflict
            case .stale: .preconditionFailed
            case .tooLarge: .contentTooLarge
            case .invalid: .unprocessableContent
            case .unavailable: .serviceUnavailable
            case .full: HTTPResponse.Status(code: 507, reasonPhrase: "Insufficient Storage")
            }
        self.init(
            title: status.reasonPhrase, status: status.code, detail: refusal.message,
            diagnostics: refusal.diagnostics.isEmpty ? nil : refusal.diagnostics, text: refusal.text)
    }

    var response: Response {
        let body = (try? PlainJSON.encode(self)) ?? []
        return .text(
            ByteBuffer(bytes: body), type: "application/problem+json", status: HTTPResponse.Status(code: status))
    }
}

extension Refusal {
    /// What the records could not do, in their own words.
    init(_ error: RecordsError) {
        let code: Refusal.Code =
            switch error.code {
            case .full: .full
            case .conflict: .conflict
            default: .unavailable
            }
        self.init(code: code, message: error.description)
    }
}

/// Whatever goes wrong leaves as a problem, also what the framework itself refuses.
struct ProblemMiddleware: RouterMiddleware {
    let logger: Logger

    @concurrent func handle(
        _ request: Request, context: RESTContext, next: @concurrent (Request, RESTContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let refusal as Refusal {
            return Problem(refusal).response
        } catch let error as RecordsError {
            return Problem(Refusal(error)).response
        } catch let error as SystemError {
            return Problem(Refusal(code: error.isFull ? .full : .unavailable, message: error.description)).response
        } catch let turned as Turned {
            return turned.response
        } catch let unsupported as UnsupportedType {
            return Problem(
                .unsupportedMediaType, "Content-Type must be \(unsupported.wanted.joined(separator: " or "))."
            ).response
        } catch let error as HTTPError {
            let detail =
                error.status == .notFound
                ? "There is nothing at \(request.uri.path); /openapi.json says what there is."
                : error.body ?? error.status.reasonPhrase
            return Problem(error.status, detail).response
        } catch let error as HTTPParserError {
            // Hummingbird answers 400 and closes the connection; an answer of ours would be a second one.
            throw error
        } catch is CancellationError {
            return Problem(.serviceUnavailable, "The manager is shutting down.").response
        } catch {
            logger.error(
                "a request failed",
                metadata: ["method": "\(request.method)", "path": "\(request.uri.path)", "error": "\(error)"])
            return Problem(.internalServerError, "The manager failed at this; its log says why.").response
        }
    }
}
