import Fleet
import Foundation
import Records
import Synchronization
import OperatingSystem

/// When tokens were last used, as far as that is not written down yet.
final class LastUses: Sendable {
    private let times = Mutex<[String: Timestamp]>([:])

    subscript(name: String) -> Timestamp? { times.withLock { $0[name] } }

    /// Notes a use; true where it is worth writing down: once a minute for each token.
    func note(_ row: TokenRow, at now: Timestamp) -> Bool {
        times.withLock { times in
            let last = [times[row.name], row.lastUsed].compactMap { $0 }.max()
            if let last, now - last < Queries.lastUsedInterval { return false }
            times[row.name] = now
            return true
        }
    }
}

/// Who asks, and what he was answered before.
extension Queries {
    /// How often the last use of a token is written down, at most.
    static let lastUsedInterval = TimeSpan.minutes(1)

    func authenticate(token: String, address: String) async throws -> Authentication {
        guard let row = try await reading({ try $0.token(hash: AdminToken.hash(token)) }) else { return .unknown }
        let now = clock.wall
        if let revoked = row.revoked { return .revoked(revoked) }
        if let expires = row.expires, expires <= now { return .expired(expires) }
        if lastUses.note(row, at: now) {
            // Not worth keeping anybody waiting, nor refusing anybody; it ends with its commit.
            let change = Records.Change.tokenUsed(name: row.name, at: now)
            Task { [notes, records] in _ = try? await notes.run { try records.commit([change]) } }
        }
        return .caller(Caller(name: row.name, address: address, role: row.role, groups: row.groups))
    }

    func tokens() async throws -> [TokenView] {
        try await reading { try $0.tokens() }.map { row in
            TokenView(
                name: row.name, role: row.role, groups: row.groups, created: row.created, by: row.createdBy,
                expires: row.expires, revoked: row.revoked,
                lastUsed: [row.lastUsed, lastUses[row.name]].compactMap { $0 }.max())
        }
    }

    func answer(forKey key: String, by caller: Caller) async throws -> IdempotentAnswer? {
        try await reading { [vault] records in
            try records.idempotentAnswer(key: key, caller: caller.name).map {
                IdempotentAnswer(
                    request: $0.request, status: $0.status, headers: $0.headers,
                    body: try vault.answer($0.body, forKey: key))
            }
        }
    }

    func keep(_ answer: IdempotentAnswer, forKey key: String, by caller: Caller) async throws {
        try await notes.run { [vault, records] in
            _ = try records.commit([
                .idempotentAnswer(try vault.row(of: answer, forKey: key, of: caller.name))
            ])
        }
    }
}

extension Vault {
    func row(of mark: RequestMark) throws -> IdempotentAnswerRow {
        let answer = IdempotentAnswer(request: mark.request, status: RequestMark.status, headers: [:], body: "")
        return try row(of: answer, forKey: mark.key, of: mark.caller)
    }

    func row(of answer: IdempotentAnswer, forKey key: String, of caller: String) throws -> IdempotentAnswerRow {
        IdempotentAnswerRow(
            key: key, caller: caller, request: answer.request, status: answer.status, headers: answer.headers,
            body: try seal(answer: answer.body, forKey: key), at: .now)
    }
}
