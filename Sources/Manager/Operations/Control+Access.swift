import Fleet
import Foundation
import Records

/// Tokens of the API, and the key that everything is kept under.
extension Control {
    static let longestTokenLife = TimeSpan.hours(24 * 3650)

    private static let actors: Set = [
        "manager", "user", "machine", "rule", "platform", "anonymous", "unknown", "system", "trunkline",
    ]

    func createToken(_ request: TokenRequest, by caller: Caller) async throws -> MadeToken {
        guard Name.isValid(request.name) else {
            throw Refusal(
                code: .malformed, message: "A token's name is made of a-z, 0-9 and -, at most \(Name.longest).")
        }
        // The history names whoever acts: a person by his token, others by these words.
        guard !Self.actors.contains(request.name) else {
            throw Refusal(
                code: .malformed,
                message: "\(request.name) is what others are called in the history; choose another name.")
        }
        if let ttl = request.ttl, ttl < .seconds(1) || ttl > Self.longestTokenLife {
            throw Refusal(code: .malformed, message: "ttl must be 1s to 3650d; leave it out for a token that stays.")
        }
        return try transact { control, burst in
            guard try control.records.token(named: request.name) == nil else {
                throw Refusal(
                    code: .conflict,
                    message:
                        "There is or was a token \(request.name). A name is used once, so that the history stays true; choose another."
                )
            }
            let token = AdminToken.make()
            let expires = request.ttl.map { burst.wall + $0 }
            let row = TokenRow(
                name: request.name, hash: AdminToken.hash(token), role: request.role, groups: request.groups,
                created: burst.wall, createdBy: caller.name, expires: expires)
            burst.changes.append(.token(row))
            burst.note(
                .tokenCreated, by: caller, "Token \(row.name) made: \(row.reach)", subject: "token \(row.name)",
                after: row.state)
            return MadeToken(
                token: token, name: row.name, role: row.role, groups: row.groups, expires: expires)
        }
    }

    func revokeToken(_ name: String, by caller: Caller) async throws {
        try transact { control, burst in
            let tokens = try control.records.tokens()
            guard let row = tokens.first(where: { $0.name == name }) else {
                throw Refusal(
                    code: .notFound,
                    message: "There is no token \(name); trunkline token list shows those that there are.")
            }
            guard row.revoked == nil else { return }
            let now = burst.wall
            guard !row.isMaster(at: now) || tokens.contains(where: { $0.name != name && $0.isMaster(at: now) }) else {
                throw Refusal(
                    code: .conflict,
                    message:
                        "\(name) is the last admin token for all groups that is in force; make another first, with: trunkline token create NAME --role admin"
                )
            }
            burst.changes.append(.revokeToken(name: name, at: now))
            var after = row.state
            after["revoked"] = now.description
            burst.note(
                .tokenRevoked, by: caller, "Token \(name) revoked", subject: "token \(name)", before: row.state,
                after: after)
        }
    }

    func rotateMasterKey(by caller: Caller) async throws -> KeyRotationView {
        let now = clock.wall
        let (id, count, events) = try vault.rotate(in: records) { old, new in
            let event = EventEntry(
                at: now, kind: .keyRotated, actor: "user \(caller.name)",
                message: "The master key was replaced; everything that is kept was encrypted anew",
                facts: ["address": caller.address, "key": new])
            return [
                .event(event),
                .audit(
                    AuditEntry(
                        at: now, who: event.actor, from: caller.address, what: event.kind.rawValue,
                        subject: "master key", before: AuditDetail.text(["key": old]),
                        after: AuditDetail.text(["key": new]))),
            ]
        }
        if let last = events.last { queries.signal.announce(last.id) }
        return KeyRotationView(key: id, sealed: count)
    }
}

extension TokenRow {
    /// Whether everything can be done with it.
    fileprivate func isMaster(at now: Timestamp) -> Bool {
        role == .admin && groups == nil && revoked == nil && (expires.map { $0 > now } ?? true)
    }

    fileprivate var reach: String {
        "\(role.rawValue)" + (groups.map { " of \($0)" } ?? "") + (expires.map { " until \($0)" } ?? "")
    }

    fileprivate var state: [String: String] {
        var state = ["role": role.rawValue, "groups": groups?.description ?? "*"]
        state["expires"] = expires?.description
        return state
    }
}
