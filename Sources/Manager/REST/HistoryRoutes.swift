import Fleet
import GroupLanguage
import Hummingbird

extension API {
    static var historyRoutes: [Route] {
        [
            Route(
                method: .get, path: "/v1/events",
                summary: "History; with `Accept: text/event-stream` a live stream that resumes by `Last-Event-ID`.",
                tag: "history", needs: .viewer,
                query: [
                    .init(name: "group", says: "Of this group only.", schema: "Name"),
                    .init(name: "machine", says: "Of this machine only.", schema: "Name"),
                    .init(
                        name: "kind", says: "Of these kinds only, between commas; `*` stands for any letters.",
                        schema: "EventKinds"),
                    .init(name: "after", says: "Behind the event with this id; 0: from the first.", schema: "EventID"),
                    .init(
                        name: "since", says: "No older than this, if `after` names none that is newer.", schema: "Ago"),
                    .init(
                        name: "last",
                        says: "The newest so many, in order, as one page; a stream begins with them.",
                        schema: "Limit"),
                    Route.paging[1],
                ],
                answers: [
                    .init(status: 200, says: "A page.", schema: "EventPage"),
                    .init(status: 200, says: "Past and then live.", type: "text/event-stream", schema: "EventStream"),
                ], problems: [400]
            ) { api, incoming in
                let filter = EventFilter(
                    group: try incoming.name("group"), machine: try incoming.name("machine"),
                    kinds: try incoming.kinds())
                let isStream = incoming.request.accepts("text/event-stream")
                let (last, first) = (incoming.request.headers[.lastEventID], incoming.query("after"))
                // Also the one that does not count here: whoever sends nonsense is to know.
                let ids = try [last, first].map { text in
                    guard let text else { return Int64?.none }
                    guard let id = Int64(text), id >= 0 else {
                        throw Refusal(
                            code: .malformed, message: "after and Last-Event-ID take the id of an event; got \(text).")
                    }
                    return id
                }
                var after = (isStream ? ids[0] : nil) ?? ids[1] ?? 0
                if let ago = try incoming.ago("since") {
                    after = max(after, try await api.operations.lastEvent(before: ago))
                }
                let limit = try incoming.limit()
                if let count = try incoming.limit("last") {
                    let events = try await api.operations.lastEvents(filter, after: after, count: count)
                    guard isStream else { return try .json(Page(items: events, next: nil)) }
                    // Who comes back has had them.
                    if ids[0] == nil, let first = events.first { after = first.id - 1 }
                }
                guard isStream else {
                    return try .json(try await api.operations.events(filter, after: after, limit: limit))
                }
                // A stream that is refused is to say why.
                _ = try await api.operations.events(filter, after: .max, limit: 1)
                let events = api.operations.eventStream(filter, after: after)
                return .events(events, beat: incoming.beat) { event in
                    try EventFrame(id: "\(event.id)", name: event.kind.rawValue, event)
                }
            }
        ]
    }
}

extension Incoming {
    /// Nil: all.
    fileprivate func kinds() throws -> Set<EventEntry.Kind>? {
        guard let text = query("kind") else { return nil }
        var kinds: Set<EventEntry.Kind> = []
        for pattern in text.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
            let found = EventEntry.Kind.matching(pattern)
            guard !found.isEmpty else {
                let close = Suggestion.nearest(to: pattern, among: EventEntry.Kind.allCases.map(\.rawValue))
                throw Refusal(
                    code: .malformed,
                    message:
                        "kind: nothing is called \(pattern.forPeople(atMost: 64))\(close.map { "; did you mean \($0)?" } ?? ".")"
                )
            }
            kinds.formUnion(found)
        }
        return kinds
    }
}
