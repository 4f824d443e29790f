package import Fleet

/// What records were, and the way back.
extension TrunklineClient {
    /// The newest first, without their texts.
    package func revisions(_ name: String) async throws -> [RevisionView] {
        try await all("/v1/groups/\(escaped(name))/revisions")
    }

    /// With its text.
    package func revision(_ revision: Int, of name: String) async throws -> RevisionView {
        try await send(Call("GET", "/v1/groups/\(escaped(name))/revisions/\(revision)"))
    }

    /// `to`: nil: the revision in force; `from`: nil: the one before it.
    package func difference(of name: String, from: Int?, to: Int?) async throws -> DifferenceView {
        let query = [("from", from), ("to", to)].compactMap { key, value in value.map { (key, "\($0)") } }
        return try await send(Call("GET", "/v1/groups/\(escaped(name))/diff", query: query))
    }

    /// What rolling back to that revision would change.
    package func planRollback(_ name: String, to revision: Int) async throws -> PlanView {
        try await send(Call("GET", "/v1/groups/\(escaped(name))/revisions/\(revision)/plan"))
    }

    package func rollBack(_ name: String, _ request: RollbackRequest = RollbackRequest()) async throws -> GroupView {
        try await send(try Call("POST", "/v1/groups/\(escaped(name))/rollback", once: true).with(json: request))
    }

    /// What the manager's language says of a text.
    package func check(_ text: String) async throws -> CheckView {
        try await send(Call("POST", "/v1/check").with(text: text))
    }
}
