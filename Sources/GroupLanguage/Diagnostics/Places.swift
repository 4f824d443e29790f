/// Faults that only its receiver can see, who knows more than the text says.
extension GroupLanguage {
    /// Where such a fault stands in a text.
    package enum Place: Hashable, Sendable {
        /// At a variable of `env`, or at `env` as a whole; where there is none, at the software.
        case environment(variable: String?)
        case software
    }

    /// A fault of a text that checks, with its line and column.
    package static func fault(
        _ id: String, at place: Place, in text: String, isJSON: Bool = false, _ message: String, hint: String? = nil
    ) -> Diagnostics {
        let bytes = Array(text.utf8)
        let body = (isJSON ? GroupJSON.file(bytes) : Parser.file(bytes)).body
        var faults = FaultList()
        faults.add(id, span(of: place, in: body), message, hint: hint)
        return Diagnostics(faults.diagnostics(in: bytes))
    }

    private static func span(of place: Place, in body: Body) -> Span {
        guard case .block(let block)? = body.entries.first?.kind else { return Span(start: 0, end: 0) }
        let pairs = pairs(of: block.body)
        if case .environment(let variable) = place, let environment = pairs.first(where: { $0.key.text == "env" }) {
            guard case .map(let variables) = environment.value.kind,
                let found = Self.pairs(of: variables).first(where: { $0.key.text == variable })
            else { return environment.key.span }
            return found.key.span
        }
        return pairs.first { $0.key.text == "software" }?.value.span ?? block.keyword.span
    }

    private static func pairs(of body: Body) -> [Pair] {
        body.entries.compactMap { entry in if case .pair(let pair) = entry.kind { pair } else { nil } }
    }
}
