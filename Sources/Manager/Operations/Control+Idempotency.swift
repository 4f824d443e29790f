import Fleet
import Records

/// Answers that are kept under an `Idempotency-Key`.
extension Control {
    func answer(forKey key: String, by caller: Caller) async throws -> IdempotentAnswer? {
        try records.idempotentAnswer(key: key, caller: caller.name).map {
            IdempotentAnswer(
                request: $0.request, status: $0.status, headers: $0.headers,
                body: try vault.answer($0.body, forKey: key))
        }
    }

    func keep(_ answer: IdempotentAnswer, forKey key: String, by caller: Caller) async throws {
        _ = try records.commit([
            .idempotentAnswer(try row(of: answer, forKey: key, of: caller.name)),
            .removeIdempotentAnswers(before: .now - .hours(24)),
        ])
    }

    func row(of mark: RequestMark) throws -> IdempotentAnswerRow {
        let answer = IdempotentAnswer(request: mark.request, status: RequestMark.status, headers: [:], body: "")
        return try row(of: answer, forKey: mark.key, of: mark.caller)
    }

    private func row(of answer: IdempotentAnswer, forKey key: String, of caller: String) throws -> IdempotentAnswerRow {
        IdempotentAnswerRow(
            key: key, caller: caller, request: answer.request, status: answer.status, headers: answer.headers,
            body: try vault.seal(answer: answer.body, forKey: key), at: .now)
    }
}
