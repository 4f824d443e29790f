import Fleet
import Records

/// What people and their monitoring watch the manager itself by.
extension Queries {
    /// Nil: ready. Else what is missing, for people.
    func notReady(brokers: [String], boots: [String]) -> String? {
        let hearing = view.hearing
        if let stale = hearing.stale {
            return
                "Nothing can be written since \((clock.now - stale.since).inWords): \(stale.reason) What is shown is from before."
        }
        if let deafness = hearing.deafness {
            return "\(deafness.reason) since \((clock.now - deafness.since).inWords): rules about absence hold."
        }
        guard hearing.isConnected else {
            return "There is no connection with the broker \(brokers.joined(separator: ", "))."
        }
        guard hearing.isBootConnected else {
            return
                "There is no connection with the boot broker \(boots.joined(separator: ", ")): no new machine joins; others are not concerned."
        }
        return nil
    }

    /// What is known of them elsewhere than in the records.
    struct Surroundings: Sendable {
        /// What the control room has before it, and since when the first of it.
        var waiting: Int
        var oldest: Timestamp?
        var lanes: [String: Int]
        /// Nil with a plain broker.
        var authorityExpires: Timestamp?
        var brokerExpires: Timestamp?
        /// Bytes; nil: there is none.
        var journal: Int?
    }

    func metricsText(within pattern: GroupPattern?, _ around: Surroundings) async -> String {
        var text = MetricsText()
        text.family(
            "build_info", .gauge, "1; the label says which version runs.", [(["version": Version.text], 1)])
        ProcessMetrics.write(to: &text, wall: clock.wall)
        counters.write(to: &text)
        for (name, what, end) in [
            ("authority", "the certificate authority of machines and brokers ends", around.authorityExpires),
            ("broker_certificate", "the certificate that was written for the brokers ends", around.brokerExpires),
        ] {
            guard let end else { continue }
            text.gauge(
                "\(name)_expires_timestamp_seconds", "When \(what), since the Unix epoch.",
                Double(end.milliseconds / 1000))
        }
        let hearing = view.hearing
        let now = clock.now
        text.gauge("broker_connected", "1 while the broker answers.", hearing.isConnected ? 1 : 0)
        text.gauge(
            "boot_broker_connected", "1 while the boot broker answers; without it no new machine joins.",
            hearing.isBootConnected ? 1 : 0)
        text.gauge(
            "deaf_seconds", "Since when silence means nothing, because the manager can't hear; 0: it can.",
            seconds(from: hearing.deafness?.since, to: now))
        text.gauge(
            "stale_seconds", "Since when nothing can be written; 0: it can.",
            seconds(from: hearing.stale?.since, to: now))
        counters.writeNotifications(to: &text, at: now)
        text.gauge(
            "control_waiting_items", "Messages and events that wait for the control room.", Double(around.waiting))
        text.gauge(
            "control_lag_seconds", "How long the first of them has waited.",
            around.oldest.map { Double(max(0, (now - $0).milliseconds)) / 1000 } ?? 0)
        text.family(
            "lane_waiting_items", .gauge, "What was committed and waits to leave.",
            around.lanes.sorted { $0.key < $1.key }.map { (["lane": $0.key], Double($0.value)) })
        let groups = view.groups(within: pattern)
        text.family(
            "group_machines", .gauge, "Machines of a group by what they are.",
            groups.flatMap { name, group in
                [
                    ("desired", group.status.desired), ("present", group.status.present),
                    ("verified", group.status.verified), ("failed", group.status.failed), ("away", group.status.away),
                ].map { (["group": name, "state": $0.0], Double($0.1)) }
            })
        text.family(
            "group_holding", .gauge, "1 while rules about absence hold.",
            groups.map { name, group in (["group": name], group.status.holding == nil ? 0 : 1) })
        writeMachines(of: groups, to: &text)
        if let sizes = try? await reading({ try $0.sizes() }) {
            text.family(
                "records_rows", .gauge, "Rows of the tables that grow.",
                sizes.rows.sorted { $0.key < $1.key }.map { (["table": $0.key], Double($0.value)) })
            text.family(
                "records_bytes", .gauge, "Size of the database and of its write-ahead log.",
                [(["file": "database"], Double(sizes.database)), (["file": "log"], Double(sizes.log))])
            text.gauge("bundles_bytes", "Size of the bundles of software and agents.", Double(sizes.bundles))
            text.gauge("records_free_bytes", "Of the database, what is free for new rows.", Double(sizes.free))
        }
        if let journal = around.journal {
            text.gauge("journal_bytes", "Size of the journal from which rules are replayed.", Double(journal))
        }
        text.gauge("events_newest_id", "Of the history.", Double(signal.newest))
        return text.text
    }

    private func seconds(from since: Timestamp?, to now: Timestamp) -> Double {
        since.map { Double(max(1, (now - $0).milliseconds)) / 1000 } ?? 0
    }
}
