import Fleet
import Hummingbird

extension API {
    static var watchRoutes: [Route] {
        [
            Route(
                method: .get, path: "/v1/watch",
                summary:
                    """
                    The live view, as server-sent events: `snapshot` (a WatchSnapshot), then each `group`, `machine` and `rollout` as \
                    elsewhere, then `ready` (a WatchReady); from then on these again as they change, `removed` (a WatchRemoved) and \
                    `event`. A reader that lags, or comes back with a `Last-Event-ID` that is not known, gets a new snapshot, which \
                    says why; with one that is known, what changed since.
                    """,
                tag: "history", needs: .viewer,
                query: [
                    .init(name: "group", says: "Of this group only.", schema: "Name"),
                    .init(
                        name: "machine",
                        says:
                            "These machines only, \(SnapshotView.mostNamed) at most, with commas between: no groups, rollouts and events.",
                        schema: "Names"),
                    .init(
                        name: "metrics",
                        says:
                            "false: no machine again where only its metrics or the time that it was heard changed; else at most once a second.",
                        schema: "Flag"),
                ],
                answers: [
                    .init(
                        status: 200, says: "What there is and then what changes.", type: "text/event-stream",
                        schema: "EventStream")
                ],
                problems: [400, 404, 406]
            ) { api, incoming in
                let request = WatchRequest(
                    group: try incoming.name("group"),
                    machines: try incoming.names("machine", atMost: SnapshotView.mostNamed),
                    hasMetrics: try incoming.query("metrics").map { _ in try incoming.flag("metrics") } ?? true,
                    last: incoming.request.headers[.lastEventID])
                guard incoming.request.accepts("text/event-stream") else {
                    return Problem(
                        .notAcceptable, "The live view is a stream; send Accept: text/event-stream to have it."
                    ).response
                }
                let batches = try await api.operations.watch(request)
                return .events(batches, beat: incoming.beat) { try $0.frames() }
            }
        ]
    }
}

extension WatchBatch {
    /// Its place stands with the last one: who has that has all of them.
    func frames() throws -> [EventFrame] {
        var frames = try items.map { try $0.frame() }
        if let place, let last = frames.indices.last { frames[last].id = "\(place)" }
        return frames
    }
}

extension WatchItem {
    fileprivate func frame() throws -> EventFrame {
        func frame(_ name: Name, _ item: some Encodable) throws -> EventFrame {
            try EventFrame(name: name.rawValue, item)
        }
        return switch self {
        case .snapshot(let item): try frame(.snapshot, item)
        case .ready(let item): try frame(.ready, item)
        case .group(let item): try frame(.group, item)
        case .machine(let item): try frame(.machine, item)
        case .rollout(let item): try frame(.rollout, item)
        case .removed(let item): try frame(.removed, item)
        case .event(let item): try frame(.event, item)
        }
    }
}
