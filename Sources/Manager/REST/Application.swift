import Fleet
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import OperatingSystem
import NIOSSL

/// Where the REST API listens and what it takes.
struct RESTConfiguration: Sendable {
    var host: String
    /// 0: any free one; `onListening` says which.
    var port: Int
    /// Bundles arrive here; on the same file system as where they are kept.
    var uploadDirectory: String
    /// Bytes.
    var largestBundle: Int
    /// Nil: plain HTTP.
    var tls: TLSConfiguration?
    var limits = AccessLimits()
    /// How often a stream shows that it lives, and whether its reader may still read is asked.
    var streamBeat = TimeSpan.seconds(15)
}

/// The REST API of `operations` as a service of its own.
func buildApplication(
    operations: some Operations, configuration: RESTConfiguration, logger: Logger,
    onListening: @escaping @Sendable (Int) async -> Void
) throws -> some ApplicationProtocol {
    let api = API(operations: operations, configuration: configuration, logger: logger)
    return Application(
        router: api.router(),
        server: .limited(configuration.limits, tls: configuration.tls),
        configuration: ApplicationConfiguration(
            address: .hostname(configuration.host, port: configuration.port)),
        onServerRunning: { channel in await onListening(channel.localAddress?.port ?? configuration.port) },
        logger: logger)
}

extension HTTPServerBuilder {
    /// HTTP/2 and HTTP/1.1 over TLS where there is a configuration for it, else HTTP/1.1.
    fileprivate static func limited(_ limits: AccessLimits, tls: TLSConfiguration?) -> HTTPServerBuilder {
        HTTPServerBuilder { responder in
            let idle = TimeAmount.milliseconds(limits.idle.milliseconds)
            let http = HTTP1Channel(
                responder: responder,
                configuration: .init(additionalChannelHandlers: [RequestPace(limits)], idleTimeout: idle))
            let places = ConnectionPlaces(limits: limits)
            guard let tls else { return LimitedChannel(http, places: places) }
            let secure = try SecureChannel(http, tls: tls, limits: limits, places: places)
            return LimitedChannel(secure, places: places)
        }
    }
}

/// What every request carries along.
struct RESTContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// Where the request comes from, for the history.
    let address: String

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        address = source.channel.remoteAddress?.ipAddress ?? "unknown"
    }
}

/// The routes over the manager's operations.
struct API: Sendable {
    var operations: any Operations
    let configuration: RESTConfiguration
    let logger: Logger
    /// Requests that come twice under one Idempotency-Key; 16 may wait for the first.
    let inFlight = KeyedTurns<String>(limit: 16)
    let authenticator: Authenticator
    let uploads: Slots
    let records: Slots

    init(operations: any Operations, configuration: RESTConfiguration, logger: Logger) {
        self.operations = operations
        self.configuration = configuration
        self.logger = logger
        authenticator = Authenticator(limits: configuration.limits)
        uploads = Slots(ofOne: configuration.limits.uploads.ofOne, inAll: configuration.limits.uploads.inAll)
        records = Slots(ofOne: configuration.limits.records.ofOne, inAll: configuration.limits.records.inAll)
    }

    /// Every route, in the order of the documentation.
    var routes: [Route] { Self.routes }
    static var routes: [Route] {
        softwareRoutes + groupRoutes + rolloutRoutes + machineRoutes + secretRoutes + accessRoutes + historyRoutes
            + watchRoutes + operationRoutes
    }

    /// What a path that is there refuses with 405, where it does not take it.
    private static let methods: [HTTPRequest.Method] =
        [.get, .head, .post, .put, .patch, .delete, .options, .trace] + ["QUERY"].compactMap { .init($0) }

    func router() -> Router<RESTContext> {
        let router = Router(context: RESTContext.self, options: .autoGenerateHeadEndpoints)
        router.addMiddleware { ProblemMiddleware(logger: logger) }
        let routes = routes
        for route in routes {
            router.on(RouterPath(route.path), method: route.method) { request, context in
                try await answer(request, context, by: route)
            }
        }
        for (path, known) in Dictionary(grouping: routes, by: \.path) {
            let methods = known.flatMap { $0.method == .get ? [$0.method, .head] : [$0.method] }
            let allow = methods.map(\.rawValue).sorted().joined(separator: ", ")
            for method in Self.methods
            where !methods.contains(method) {
                router.on(RouterPath(path), method: method) { _, _ in
                    var answer = Problem(.methodNotAllowed, "This path takes \(allow).").response
                    answer.headers[.allow] = allow
                    return answer
                }
            }
        }
        return router
    }

    /// Checks who asks, reads what comes, and lets the route answer.
    private func answer(_ request: Request, _ context: RESTContext, by route: Route) async throws -> Response {
        if let coding = request.headers[.transferEncoding], coding.lowercased() != "chunked" {
            throw Refusal(code: .malformed, message: "Transfer-Encoding may be chunked and nothing else.")
        }
        var incoming = Incoming(
            request: request, parameters: context.parameters,
            caller: Caller(name: "anonymous", address: context.address))
        var api = self
        if !route.isOpen || route.tellsHoldersMore && request.bearerToken != nil {
            let caller = try await authenticator.admit(request, from: context.address, by: operations)
            guard caller.role >= route.needs else {
                throw Refusal(
                    code: .forbidden,
                    message:
                        "This needs the role \(route.needs.rawValue); the token \(caller.name) has the role \(caller.role.rawValue)."
                )
            }
            incoming.caller = caller
            incoming.isAdmitted = true
            incoming.beat = StreamBeat(every: configuration.streamBeat) {
                [operations, token = request.bearerToken ?? ""] in
                guard let now = try? await operations.authenticate(token: token, address: caller.address) else {
                    return true
                }
                return now == .caller(caller)
            }
            if let pattern = caller.groups { api.operations = GroupScope(base: operations, pattern: pattern) }
        }
        switch route.weight {
        case .light: return try await answer(api, incoming, by: route)
        case .upload:
            return try await uploads.with(incoming.caller.name, "uploads") {
                try await answer(api, incoming, by: route)
            }
        case .record:
            return try await records.with(incoming.caller.name, "records") {
                try await answer(api, incoming, by: route)
            }
        }
    }

    private func answer(_ api: API, _ incoming: Incoming, by route: Route) async throws -> Response {
        var incoming = incoming
        if let body = route.body, case .whole(let types, let largest, let isNeeded) = body {
            incoming.body = try await incoming.request.wholeBody(types: types, largest: largest, isNeeded: isNeeded)
        }
        guard route.method == .post, route.keepsAnswer, let key = incoming.request.headers[.idempotencyKey] else {
            return try await route.answer(api, incoming)
        }
        return try await once(key, incoming) { try await route.answer(api, incoming) }
    }
}
