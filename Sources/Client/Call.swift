import AsyncHTTPClient
import Fleet
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// One request, before it is made.
struct Call {
    var method: HTTPMethod
    var path: String
    var timeout: TimeSpan
    /// Repeated after a broken connection under the same `Idempotency-Key`.
    var key: String?
    private var prepare: [(inout HTTPClientRequest) -> Void] = []

    init(
        _ method: String, _ path: String, query: [(String, String)] = [], once: Bool = false,
        timeout: TimeSpan = .seconds(60), _ prepare: ((inout HTTPClientRequest) -> Void)? = nil
    ) {
        self.method = HTTPMethod(rawValue: method)
        let encoded = query.map { "\($0)=\(escaped($1))" }.joined(separator: "&")
        self.path = encoded.isEmpty ? path : "\(path)?\(encoded)"
        self.timeout = timeout
        key = once ? UUID().uuidString.lowercased() : nil
        if let prepare { self.prepare = [prepare] }
    }

    func with(text: String) -> Call { with(Data(text.utf8), type: "text/plain; charset=utf-8") }

    func with(json value: some Encodable) throws -> Call {
        with(try JSONEncoder().encode(value), type: "application/json")
    }

    private func with(_ body: Data, type: String) -> Call {
        preparing { request in
            request.headers.replaceOrAdd(name: "Content-Type", value: type)
            request.body = .bytes(ByteBuffer(bytes: body))
        }
    }

    func preparing(_ change: @escaping (inout HTTPClientRequest) -> Void) -> Call {
        var call = self
        call.prepare.append(change)
        return call
    }

    func request(server: String, token: String) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: server + path)
        request.method = method
        request.headers.add(name: "Authorization", value: "Bearer \(token)")
        request.headers.add(name: "User-Agent", value: "trunkline/\(Version.text)")
        if let key { request.headers.add(name: "Idempotency-Key", value: key) }
        for change in prepare { change(&request) }
        return request
    }

    /// Whether a second try is certain not to act twice.
    var mayRepeat: Bool { method == .GET || key != nil }
}

/// `text` as one part of a path or a query, whatever it contains.
func escaped(_ text: String) -> String {
    let kept = CharacterSet(charactersIn: "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
    return text.addingPercentEncoding(withAllowedCharacters: kept) ?? ""
}

extension TrunklineClient {
    /// No answer other than a bundle or a stream is larger.
    private static let largestAnswer = 64 << 20

    func send<Answer: Decodable>(_ call: Call) async throws -> Answer {
        let bytes = try await bytes(call)
        do { return try JSONDecoder().decode(Answer.self, from: bytes) } catch {
            throw ClientError(
                "\(server) answered \(call.method.rawValue) \(call.path) with something else than was expected; is it another version? (\(error))"
            )
        }
    }

    func run(_ call: Call) async throws { _ = try await bytes(call) }

    /// Every page.
    func all<Item: Codable & Sendable>(_ path: String, query: [(String, String)] = []) async throws -> [Item] {
        var items: [Item] = []
        var after: String?
        repeat {
            let place = after.map { [("after", $0)] } ?? []
            let page: Page<Item> = try await send(Call("GET", path, query: query + [("limit", "1000")] + place))
            items += page.items
            after = page.next
        } while after != nil
        return items
    }

    func bytes(_ call: Call) async throws -> Data {
        let response = try await response(call)
        let body: ByteBuffer
        do { body = try await response.body.collect(upTo: Self.largestAnswer) } catch {
            throw ClientError("the answer of \(server) broke off: \(Self.words(error))")
        }
        return Data(body.readableBytesView)
    }

    /// The answer if it is a good one; its body has not been read.
    func response(_ call: Call) async throws -> HTTPClientResponse {
        var tries = 0
        while true {
            do {
                let response = try await http.execute(
                    call.request(server: server, token: token), timeout: .milliseconds(call.timeout.milliseconds))
                guard (200..<300).contains(response.status.code) else { throw await Self.refusal(response) }
                return response
            } catch let error as ClientError {
                throw error
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                tries += 1
                guard call.mayRepeat, tries < 3, Self.isBrokenConnection(error) else {
                    throw ClientError(
                        "no answer from the manager at \(server): \(Self.words(error)). Is it running, and is the address right?"
                    )
                }
                try await Task.sleep(for: .milliseconds(100 * tries))
            }
        }
    }

    private static func refusal(_ response: HTTPClientResponse) async -> ClientError {
        let status = Int(response.status.code)
        let body = try? await response.body.collect(upTo: largestAnswer)
        if let body, let problem = try? JSONDecoder().decode(Problem.self, from: Data(body.readableBytesView)) {
            return ClientError(problem)
        }
        return ClientError(status: status, "the manager answered \(status) \(response.status.reasonPhrase)")
    }

    private static func isBrokenConnection(_ error: any Error) -> Bool {
        guard let error = error as? HTTPClientError else { return !(error is NIOConnectionError) }
        return error == .remoteConnectionClosed
    }

    static func words(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            error.connectionErrors.first.map { words($0.error) } ?? "it can't be reached"
        case let error as IOError where error.errnoCode == ECONNREFUSED: "connection refused"
        case let error as IOError: String(cString: strerror(error.errnoCode))
        case let error as HTTPClientError where error == .connectTimeout: "it can't be reached"
        case let error as HTTPClientError where error == .deadlineExceeded || error == .readTimeout:
            "it did not answer in time"
        case let error as HTTPClientError where error == .remoteConnectionClosed: "the connection broke"
        case let error as HTTPClientError: error.shortDescription
        case is SocketAddressError: "its name can't be resolved"
        case let error as NIOSSLExtraError where error == .failedToValidateHostname:
            "its certificate is for other names than this one (serve --server-name adds one)"
        case is NIOSSLError, is NIOSSLExtraError, is BoringSSLError:
            "it speaks no TLS, or its certificate is not one to trust; name whom to believe with --trust FILE (trust.pem in the manager's data directory)"
        default: "the connection broke"
        }
    }
}
