import Fleet
import GroupLanguage
import Hummingbird

extension API {
    static var machineRoutes: [Route] {
        [
            Route(
                method: .get, path: "/v1/machines", summary: "List machines.", tag: "machines", needs: .viewer,
                query: [
                    .init(name: "group", says: "Of this group only.", schema: "Name"),
                    .init(name: "state", says: "In one of these states only, between commas.", schema: "ShownStates"),
                    .init(
                        name: "label", says: "Of groups with this label only; more than once: with all of them.",
                        schema: "Labels"),
                    .init(
                        name: "q", says: "With this in their id, host or software, in whatever case.",
                        schema: "SearchText"),
                ] + Route.paging,
                answers: [.init(status: 200, says: "A page.", schema: "MachinePage")], problems: [400, 404]
            ) { api, incoming in
                try .json(
                    try await api.operations.machines(
                        try incoming.machines(), after: incoming.query("after"), limit: try incoming.limit()))
            },
            Route(
                method: .get, path: "/v1/machines/{machine}", summary: "A machine as it last reported.",
                tag: "machines", needs: .viewer,
                answers: [.init(status: 200, says: "The machine.", schema: "Machine")], problems: [404]
            ) { api, incoming in
                try .json(try await api.operations.machine(try incoming.parameter("machine")))
            },
            Route(
                method: .get, path: "/v1/machines/{machine}/explain",
                summary: "Why it is as it is: which rule, which facts, what it waits for.", tag: "machines",
                needs: .viewer,
                query: [
                    .init(
                        name: "ago", says: "As it was so long ago, as far as the journal goes back; now without it.",
                        schema: "Ago")
                ],
                answers: [.init(status: 200, says: "The explanation.", schema: "Explanation")],
                problems: [400, 404, 503]
            ) { api, incoming in
                try .json(
                    try await api.operations.explain(try incoming.parameter("machine"), ago: try incoming.ago("ago")))
            },
            Route(
                method: .get, path: "/v1/machines/{machine}/logs",
                summary:
                    "The last lines of its log; with `Accept: text/event-stream` what follows, too. Lines leave a machine only while somebody reads them.",
                tag: "machines", needs: .viewer,
                query: [
                    .init(
                        name: "tail", says: "How many of the last lines; 200 without it.", schema: "LogTail")
                ],
                answers: [
                    .init(status: 200, says: "The last lines.", schema: "LogPage"),
                    .init(
                        status: 200, says: "The last lines and then live, each a `Log`.", type: "text/event-stream",
                        schema: "EventStream"),
                ],
                problems: [400, 404, 503]
            ) { api, incoming in
                let machine = try incoming.parameter("machine")
                let tail = try incoming.tail()
                guard incoming.request.accepts("text/event-stream") else {
                    let lines = try await api.operations.lastLines(ofMachine: machine, tail: tail)
                    return try .json(Page(items: lines, next: nil))
                }
                // Who comes back has had the last lines.
                let isBack = incoming.request.headers[.lastEventID] != nil
                let items = try await api.operations.log(ofMachine: machine, tail: isBack ? 0 : tail)
                let lines = items.compactMap { item in if case .line(let line) = item { line } else { nil } }
                var beat = incoming.beat
                // A machine that is gone has no more to say.
                beat.isAllowed = { [isAllowed = beat.isAllowed] in
                    guard await isAllowed() else { return false }
                    return (try? await api.operations.machine(machine)) != nil
                }
                return .events(lines, beat: beat) { try EventFrame(id: "live", name: "log", $0) }
            },
        ] + MachineInstruction.allCases.map(route)
    }

    private static func route(_ instruction: MachineInstruction) -> Route {
        Route(
            method: .post, path: "/v1/machines/{machine}/\(instruction.rawValue)", summary: instruction.summary,
            tag: "machines", needs: instruction == .revoke ? .admin : .operator,
            body: Route.nothing, answers: [.init(status: 202, says: "Accepted.", schema: "Machine")],
            problems: [404, 409, 413]
        ) { api, incoming in
            try .json(
                try await api.operations.instruct(
                    machine: try incoming.parameter("machine"), instruction, by: incoming.caller),
                status: .accepted)
        }
    }
}

extension MachineInstruction {
    fileprivate var summary: String {
        switch self {
        case .replace: "Release it, drained first where its group drains, and launch another in its place."
        case .revoke: "Its key is worth nothing from now on; it gets no order and no software any more."
        case .restart: "Restart its software once, drained first where its group drains."
        case .drain: "It is told to take no new work, and what runs on it may end; it stays so until `undrain`."
        case .undrain: "It takes new work again; nothing restarts."
        }
    }
}

extension Incoming {
    fileprivate func machines() throws -> MachineFilter {
        var filter = MachineFilter(group: try name("group"))
        for state in query("state")?.split(separator: ",", omittingEmptySubsequences: false).map(String.init) ?? [] {
            guard MachineView.shownStates.contains(state) else {
                let close = Suggestion.nearest(to: state, among: MachineView.shownStates)
                throw Refusal(
                    code: .malformed,
                    message:
                        "state: there is no state \(state.forPeople(atMost: 64))\(close.map { "; did you mean \($0)?" } ?? ".")"
                )
            }
            filter.states.insert(state)
        }
        for label in request.uri.queryParameters.getAll("label") {
            guard label.dropFirst().contains("="), label.first != "=" else {
                throw Refusal(
                    code: .malformed,
                    message: "label takes a name and a value, such as site=den; got \(label.prefix(64)).")
            }
            filter.labels.insert(label)
        }
        if let text = query("q") {
            guard (1...100).contains(text.unicodeScalars.count) else {
                throw Refusal(code: .malformed, message: "q takes a text of 1 to 100 characters.")
            }
            filter.text = text
        }
        return filter
    }

    fileprivate func tail() throws -> Int {
        guard let text = query("tail") else { return LogRelay.standardTail }
        guard let tail = Int(text), (0...LogRelay.longestTail).contains(tail) else {
            throw Refusal(
                code: .malformed, message: "tail takes a number from 0 to \(LogRelay.longestTail); got \(text).")
        }
        return tail
    }
}
