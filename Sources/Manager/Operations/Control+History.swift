import Fleet
import Monitor
import Foundation
import Records

extension Control {
    func events(_ filter: EventFilter, after: Int64, limit: Int) async throws -> Page<EventEntry> {
        let entries = try records.events(
            group: filter.group, machine: filter.machine, matching: filter.within, after: after, limit: limit + 1)
        return page(entries, limit: limit, cursor: { "\($0.id)" }, view: { $0 })
    }

    nonisolated func eventStream(_ filter: EventFilter, after: Int64) -> AsyncThrowingStream<EventEntry, any Error> {
        // Subscribed before the past is read: what is committed in between is then seen twice, not never.
        let live = feed.subscribe()
        let records = records
        return AsyncThrowingStream(bufferingPolicy: .bufferingOldest(EventFeed.backlog)) { continuation in
            let task = Task {
                do {
                    var last = after
                    while true {
                        let past = try records.events(
                            group: filter.group, machine: filter.machine, matching: filter.within, after: last,
                            limit: 1000)
                        for entry in past {
                            // A reader that lags too far is cut off, and comes back with its last id: never a gap.
                            if case .dropped = continuation.yield(entry) { return continuation.finish() }
                            last = entry.id
                        }
                        if past.count < 1000 { break }
                    }
                    for await entry in live where entry.id > last && filter.matches(entry) {
                        if case .dropped = continuation.yield(entry) { return continuation.finish() }
                        last = entry.id
                    }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    func setSecret(_ name: String, to value: String, by caller: Caller) async throws {
        guard Name.isValid(name) else {
            throw Refusal(
                code: .malformed, message: "A secret's name is made of a-z, 0-9 and -, at most \(Name.longest).")
        }
        guard !value.utf8.contains(0) else {
            throw Refusal(
                code: .malformed, message: "A secret can't contain a NUL byte: it travels in the environment.")
        }
        try transact { control, burst in
            let isKnown = try control.records.secret(name) != nil
            burst.changes.append(
                .secret(name: name, sealed: try control.vault.seal(secret: value, named: name), at: burst.now))
            burst.note(
                .secretSet, by: caller, "Secret \(name) set; running software gets it at its next start by an order",
                subject: "secret \(name)", before: ["set": "\(isKnown)"], after: ["set": "true"])
        }
    }

    func secrets() async throws -> [String] { try records.secretNames() }

    func removeSecret(_ name: String, by caller: Caller) async throws {
        try transact { control, burst in
            guard try control.records.secret(name) != nil else {
                throw Refusal(code: .notFound, message: "There is no secret \(name).")
            }
            let users = control.groupsNaming(secret: name)
            guard users.isEmpty else {
                throw Refusal(
                    code: .conflict, message: "The secret \(name) is named by \(users.joined(separator: ", ")).")
            }
            burst.changes.append(.removeSecret(name))
            burst.note(
                .secretRemoved, by: caller, "Secret \(name) removed", subject: "secret \(name)",
                before: ["set": "true"], after: ["set": "false"])
        }
    }

    private func groupsNaming(secret: String) -> [String] {
        let rows = (try? records.allGroups()) ?? []
        return rows.filter { $0.text.contains("secret(\"\(secret)\")") }.map(\.name)
    }

    func notReady() async -> String? {
        connected ? nil : "There is no connection with the broker \(configuration.broker)."
    }

    func metricsText(within pattern: GroupPattern?) async -> String {
        let groups = ((try? records.allGroups()) ?? []).filter { pattern?.matches($0.name) ?? true }
        var text = counters.text()
        text +=
            "# HELP trunkline_group_machines Machines of a group by what they are.\n# TYPE trunkline_group_machines gauge\n"
        for row in groups {
            guard let status = monitor.groupStatus(row.name) else { continue }
            let counts = [
                ("desired", status.desired), ("present", status.present), ("verified", status.verified),
                ("failed", status.failed), ("away", status.away),
            ]
            for (state, count) in counts {
                text += "trunkline_group_machines{group=\"\(row.name)\",state=\"\(state)\"} \(count)\n"
            }
        }
        text +=
            "# HELP trunkline_broker_connected 1 while the broker answers.\n# TYPE trunkline_broker_connected gauge\n"
        return text + "trunkline_broker_connected \(connected ? 1 : 0)\n"
    }

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

extension EventFilter {
    fileprivate func matches(_ entry: EventEntry) -> Bool {
        (group == nil || entry.group == group) && (machine == nil || entry.machine == machine)
            && (within == nil || entry.group.map { within?.matches($0) == true } == true)
    }
}
