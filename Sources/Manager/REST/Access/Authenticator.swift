import Fleet
import Foundation
import HTTPTypes
import Hummingbird
import Synchronization

/// How much the API takes from one token, from one address and in all.
struct AccessLimits: Sendable {
    /// Of one token.
    var requestsPerSecond = 100
    /// The same, where it may change while the manager runs.
    var liveRequestsPerSecond: (@Sendable () -> Int)?
    /// Open at a time, in all; each further stream of an HTTP/2 connection counts as one more.
    var connections = 1000
    var connectionsOfOneAddress = 200
    /// Without a request, or in the middle of one that does not go on. Longer than clients keep theirs for the next request.
    var idle = TimeSpan.seconds(90)
    /// Of one HTTP/2 connection, at a time: no fewer than RFC 9113 asks for.
    var streams = 100
    /// Bytes of a body that may wait for us on one HTTP/2 stream: its rate over a round trip of 50 ms is 5 MB/s.
    var window = 256 << 10
    /// Streams given up or refused, and control frames, on one HTTP/2 connection within 30 s.
    var resets = 200
    /// For a client that is told good-bye to hear it.
    var farewell = TimeSpan.milliseconds(300)
    /// In all, for a TLS handshake, and for a body that comes too slowly: so long, and longer by what comes at this rate.
    var grace = TimeSpan.seconds(30)
    var bytesPerSecond = 1024
    /// For the rest of a body after the answer to it.
    var linger = TimeSpan.seconds(10)
    /// Going on at once, of one token and in all.
    var uploads = (ofOne: 4, inAll: 16)
    /// Records that are being read, checked and planned.
    var records = (ofOne: 4, inAll: 32)
}

/// Decides who comes in: a bearer token that is in force, not too often, from an address that did not guess.
final class Authenticator: Sendable {
    private struct State: Sendable {
        var requests: RequestLimiter
        var failures = FailureLimiter()
    }
    private let state: Mutex<State>
    private let limits: AccessLimits

    init(limits: AccessLimits) {
        self.limits = limits
        state = Mutex(State(requests: RequestLimiter(perSecond: limits.requestsPerSecond)))
    }

    /// The caller, or why there is none.
    ///
    /// An address that has to wait is refused with a right token as well: otherwise guessing would not be slowed.
    func admit(_ request: Request, from address: String, by operations: any Operations) async throws -> Caller {
        let network = Self.network(of: address)
        if let wait = state.withLock({ $0.failures.wait(network, at: .now) }) {
            throw Turned.away(
                .tooManyRequests, "Too many wrong tokens came from \(address); try again in \(wait.seconds) s.", wait)
        }
        guard let token = request.bearerToken else {
            throw Turned.away(
                .unauthorized,
                "This needs a bearer token; the first one is in admin.token in the manager's data directory.")
        }
        switch try await operations.authenticate(token: token, address: address) {
        case .caller(let caller):
            let rate = limits.liveRequestsPerSecond?() ?? limits.requestsPerSecond
            let wait = state.withLock { state in
                state.requests.set(perSecond: rate)
                return state.requests.take(caller.name, at: .now)
            }
            if let wait {
                throw Turned.away(
                    .tooManyRequests,
                    "The token \(caller.name) makes more requests than the manager takes; slow down, or start the manager with a higher --request-rate.",
                    wait)
            }
            return caller
        case .unknown:
            state.withLock { $0.failures.failed(network, at: .now) }
            throw Turned.away(.unauthorized, "There is no such token; trunkline token list shows those that there are.")
        // Who has it was once let in, so this is no guess.
        case .expired(let at): throw Turned.away(.unauthorized, "This token expired at \(at); ask for a new one.")
        case .revoked(let at): throw Turned.away(.unauthorized, "This token was revoked at \(at); ask for a new one.")
        }
    }

    /// An IPv6 address stands for its /64, which is what one holder gets; an IPv4 address for itself.
    static func network(of address: String) -> String {
        var bytes = in6_addr()
        guard inet_pton(AF_INET6, address, &bytes) == 1 else { return address }
        let all = withUnsafeBytes(of: &bytes) { Array($0) }
        let isMapped = all.prefix(10).allSatisfy { $0 == 0 } && all[10] == 255 && all[11] == 255
        return isMapped ? all.suffix(4).map(String.init).joined(separator: ".") : "\(all.prefix(8))"
    }
}

/// Who was not let in, and what he is told.
struct Turned: Error {
    var problem: Problem
    var wait: TimeSpan?

    static func away(_ status: HTTPResponse.Status, _ detail: String, _ wait: TimeSpan? = nil) -> Turned {
        Turned(problem: Problem(status, detail), wait: wait)
    }

    var response: Response {
        var response = problem.response
        if problem.status == 401 { response.headers[.wwwAuthenticate] = "Bearer realm=\"trunkline\"" }
        if let wait { response.headers[.retryAfter] = "\(wait.seconds)" }
        return response
    }
}

extension TimeSpan {
    /// Whole seconds, at least one: what `Retry-After` takes.
    fileprivate var seconds: Int64 { max(1, (milliseconds + 999) / 1000) }
}
