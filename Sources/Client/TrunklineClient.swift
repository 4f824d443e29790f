package import AsyncHTTPClient
package import Fleet
import Foundation
import NIOCore
import NIOHTTP1
import NIOSSL

/// Runs `body` with a client of the manager at `server` and lets its connections go afterwards.
///
/// - Parameter trust: the authorities, in PEM, to believe about an `https` server; nil: those that the system knows.
package func withClient<Answer>(
    server: String, token: String, trust: String? = nil, _ body: (TrunklineClient) async throws -> Answer
) async throws -> Answer {
    let (server, token) = (try ServerAddress.check(server), try ServerAddress.check(token: token))
    var configuration = HTTPClient.Configuration()
    configuration.timeout.connect = .seconds(5)
    // A stream beats every 15 s: one that is as silent as this has lost its manager, whatever the connection looks like.
    configuration.timeout.read = .seconds(120)
    // Who named a wrong address wants to hear it now.
    configuration.connectionPool.retryConnectionEstablishment = false
    if let trust {
        guard let roots = try? NIOSSLCertificate.fromPEMBytes(Array(trust.utf8)), !roots.isEmpty else {
            throw ClientError("the trusted authorities are not certificates in PEM")
        }
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.trustRoots = .certificates(roots)
        configuration.tlsConfiguration = tls
    }
    let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    do {
        let answer = try await body(TrunklineClient(server: server, token: token, http: http))
        try await http.shutdown()
        return answer
    } catch {
        try? await http.shutdown()
        throw error
    }
}

/// The manager's REST API from Swift.
///
/// Every call throws `ClientError`. Calls that create something carry an `Idempotency-Key`, so that they can be repeated after a
/// broken connection without acting twice.
package struct TrunklineClient: Sendable {
    let server: String
    let token: String
    let http: HTTPClient

    package enum GroupInstruction: String, Sendable {
        case start, stop, restart, pause, resume
    }

    package enum RolloutInstruction: String, Sendable {
        case promote, pause, resume, abort
    }

    package enum MachineInstruction: String, Sendable {
        case replace, revoke, restart, drain, undrain
    }

    /// `server` as `http://HOST:PORT`.
    package init(server: String, token: String, http: HTTPClient) {
        self.server = server.hasSuffix("/") ? String(server.dropLast()) : server
        self.token = token
        self.http = http
    }
}

// MARK: Software

extension TrunklineClient {
    /// Uploads a packed bundle; `progress` is told bytes sent and bytes in all.
    package func pushSoftware(
        _ reference: SoftwareReference, bundleAt path: String,
        progress: (@Sendable (_ sent: Int, _ total: Int) -> Void)? = nil
    ) async throws -> SoftwareView {
        let upload = try Upload(path: path)
        return try await send(
            Call("PUT", "/v1/software/\(reference.name)/\(reference.version)", timeout: .hours(2)) { request in
                request.headers.replaceOrAdd(name: "Content-Type", value: "application/zstd")
                request.headers.replaceOrAdd(name: "Repr-Digest", value: "sha-256=:\(upload.digest):")
                request.body = .stream(upload.chunks(progress), length: .known(Int64(upload.size)))
            })
    }

    package func allSoftware() async throws -> [SoftwareView] { try await all("/v1/software") }

    package func software(_ reference: SoftwareReference) async throws -> SoftwareView {
        try await send(Call("GET", "/v1/software/\(reference.name)/\(reference.version)"))
    }

    package func removeSoftware(_ reference: SoftwareReference) async throws {
        try await run(Call("DELETE", "/v1/software/\(reference.name)/\(reference.version)"))
    }
}

// MARK: Groups

extension TrunklineClient {
    package func hasGroup(_ name: String) async throws -> Bool {
        do {
            _ = try await group(name)
            return true
        } catch let error as ClientError where error.status == 404 {
            return false
        }
    }

    /// Creates a group from a record in the language.
    package func createGroup(_ text: String) async throws -> GroupView {
        try await send(Call("POST", "/v1/groups", once: true).with(text: text))
    }

    /// Gives a group a new record; also tells what that changes.
    package func changeGroup(
        _ name: String, to text: String, reason: String? = nil, plan: String? = nil
    ) async throws -> (group: GroupView, plan: PlanView) {
        struct Changed: Decodable {
            var group: GroupView
            var plan: PlanView
        }
        let changed: Changed = try await send(
            Call(
                "PUT", "/v1/groups/\(escaped(name))",
                query: (reason.map { [("reason", $0)] } ?? []) + (plan.map { [("plan", $0)] } ?? [])
            ).with(text: text))
        return (changed.group, changed.plan)
    }

    /// What a record would change, with no effect.
    package func plan(_ text: String) async throws -> PlanView {
        try await send(Call("POST", "/v1/plan").with(text: text))
    }

    /// What the record's rules would have done with what its group went through.
    package func replay(_ text: String, over span: TimeSpan) async throws -> ReplayView {
        try await send(Call("POST", "/v1/replay?over=\(span)").with(text: text))
    }

    package func allGroups() async throws -> [GroupView] { try await all("/v1/groups") }
    package func group(_ name: String) async throws -> GroupView {
        try await send(Call("GET", "/v1/groups/\(escaped(name))"))
    }
    package func rollout(_ group: String) async throws -> RolloutView {
        try await send(Call("GET", "/v1/groups/\(escaped(group))/rollout"))
    }

    /// Why the group is as it is, and what it waits for.
    package func explain(group name: String) async throws -> GroupExplanationView {
        try await send(Call("GET", "/v1/groups/\(escaped(name))/explain"))
    }

    /// Newest first.
    package func rollouts(_ group: String) async throws -> [RolloutView] {
        try await all("/v1/groups/\(escaped(group))/rollouts")
    }

    package func instruct(
        rolloutOf group: String, _ instruction: RolloutInstruction, because why: String? = nil
    ) async throws -> RolloutView {
        let query = why.map { "?reason=\(escaped($0))" } ?? ""
        return try await send(
            Call("POST", "/v1/groups/\(escaped(group))/rollout/\(instruction.rawValue)\(query)", once: true))
    }

    package func instruct(group name: String, _ instruction: GroupInstruction) async throws -> GroupView {
        try await send(Call("POST", "/v1/groups/\(escaped(name))/\(instruction.rawValue)", once: true))
    }

    /// `release` gives launched machines back to their platform, and their data with them; without, they keep places and data.
    package func stop(group name: String, release: Bool) async throws -> GroupView {
        try await send(Call("POST", "/v1/groups/\(escaped(name))/stop\(release ? "?release=true" : "")", once: true))
    }

    /// Launched machines go back to their platform, and their data with them. `forget` gives up those that nobody can hear, where
    /// the platform is gone for good.
    package func removeGroup(_ name: String, force: Bool, forget: Bool = false) async throws {
        let query = [force ? "force=true" : nil, forget ? "forget=true" : nil].compactMap { $0 }.joined(separator: "&")
        try await run(Call("DELETE", "/v1/groups/\(escaped(name))\(query.isEmpty ? "" : "?\(query)")"))
    }

    /// A boot ticket: whoever has it can add machines to the group.
    package func invite(to group: String, _ request: InvitationRequest) async throws -> BootTicket {
        try await send(try Call("POST", "/v1/groups/\(escaped(group))/invitations", once: true).with(json: request))
    }
}

// MARK: Machines

extension TrunklineClient {
    /// Of all groups where none is given.
    ///
    /// - Parameters:
    ///   - states: as people call them; empty: all.
    ///   - labels: `name=value`; of groups that have all of them.
    package func allMachines(
        group: String?, states: [String] = [], labels: [String] = []
    ) async throws -> [MachineView] {
        try await all(
            "/v1/machines",
            query: (group.map { [("group", $0)] } ?? [])
                + (states.isEmpty ? [] : [("state", states.joined(separator: ","))])
                + labels.map { ("label", $0) })
    }

    package func machine(_ id: String) async throws -> MachineView {
        try await send(Call("GET", "/v1/machines/\(escaped(id))"))
    }

    package func instruct(machine id: String, _ instruction: MachineInstruction) async throws -> MachineView {
        try await send(Call("POST", "/v1/machines/\(escaped(id))/\(instruction.rawValue)", once: true))
    }

    /// `ago`: as it was so long ago.
    package func explain(_ id: String, ago: TimeSpan? = nil) async throws -> ExplanationView {
        try await send(Call("GET", "/v1/machines/\(escaped(id))/explain\(ago.map { "?ago=\($0)" } ?? "")"))
    }

    /// The last lines of the machine's log.
    package func log(ofMachine id: String, tail: Int) async throws -> [LogLine] {
        let page: Page<LogLine> = try await send(Call("GET", "/v1/machines/\(escaped(id))/logs?tail=\(tail)"))
        return page.items
    }

    /// The last lines, and what is new.
    package func followLog(ofMachine id: String, tail: Int) -> AsyncThrowingStream<LogLine, any Error> {
        follow { last in
            (Call("GET", "/v1/machines/\(escaped(id))/logs?tail=\(tail)", timeout: .hours(24 * 365)), last)
        }
    }
}

// MARK: Secrets, history, the manager itself

extension TrunklineClient {
    package func setSecret(_ name: String, to value: String) async throws {
        try await run(try Call("PUT", "/v1/secrets/\(escaped(name))").with(json: ["value": value]))
    }

    /// Their names; values never come out.
    package func secrets() async throws -> [String] { try await all("/v1/secrets") }

    package func removeSecret(_ name: String) async throws {
        try await run(Call("DELETE", "/v1/secrets/\(escaped(name))"))
    }

    /// - Parameters:
    ///   - kind: of these kinds, such as `machine.*,rule.acted`.
    ///   - since: no older than that.
    ///   - last: the newest so many, in one page.
    package func events(
        group: String?, machine: String?, kind: String? = nil, after: Int64, since: TimeSpan? = nil, limit: Int,
        last: Int? = nil
    ) async throws -> Page<EventEntry> {
        let place =
            [("after", "\(after)"), ("limit", "\(limit)")] + (since.map { [("since", "\($0)")] } ?? [])
            + (last.map { [("last", "\($0)")] } ?? [])
        return try await send(Call("GET", "/v1/events", query: eventQuery(group, machine, kind) + place))
    }

    package func status() async throws -> StatusView { try await send(Call("GET", "/v1/status")) }

    /// Who this client is to the manager.
    package func whoami() async throws -> CallerView { try await send(Call("GET", "/v1/whoami")) }

    /// Every event after `after`, past and then live, over broken connections, without a gap or a repetition.
    package func eventStream(
        group: String?, machine: String?, kind: String? = nil, after: Int64
    ) -> AsyncThrowingStream<EventEntry, any Error> {
        follow { last in
            (
                Call(
                    "GET", "/v1/events", query: eventQuery(group, machine, kind) + [("after", last ?? "\(after)")],
                    timeout: .hours(24 * 365)), last
            )
        }
    }

    private func eventQuery(_ group: String?, _ machine: String?, _ kind: String?) -> [(String, String)] {
        [("group", group), ("machine", machine), ("kind", kind)].compactMap { name, value in value.map { (name, $0) } }
    }

    /// Whether the manager has all that it needs to work.
    package func isReady() async throws -> Bool {
        do {
            try await run(Call("GET", "/readyz"))
            return true
        } catch let error as ClientError where error.status == 503 {
            return false
        }
    }

    /// Prometheus text format.
    package func metrics() async throws -> String {
        String(decoding: try await bytes(Call("GET", "/metrics")), as: UTF8.self)
    }
}
