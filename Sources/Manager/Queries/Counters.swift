import Synchronization

/// What the manager counts about itself, for `/metrics`.
final class Counters: Sendable {
    private struct Values {
        var statuses = 0
        var taken = 0
        var unknown = 0
        var registrations = 0
        var registrationsDropped = 0
        var refused = 0
        var bursts = 0
        var changes = 0
        var orders = 0
        var parts = 0
        var partBytes = 0
        var publishFailures = 0
        var deliveries = 0
    }

    private let values = Mutex(Values())

    func statusReceived() { values.withLock { $0.statuses += 1 } }
    func statusTaken() { values.withLock { $0.taken += 1 } }
    func statusUnknown() { values.withLock { $0.unknown += 1 } }
    func registrationReceived() { values.withLock { $0.registrations += 1 } }
    func registrationDropped() { values.withLock { $0.registrationsDropped += 1 } }
    func refused() { values.withLock { $0.refused += 1 } }
    func committed(bursts: Int, changes: Int) {
        values.withLock {
            $0.bursts += bursts
            $0.changes += changes
        }
    }
    func orderPublished() { values.withLock { $0.orders += 1 } }
    func partPublished(bytes: Int) {
        values.withLock {
            $0.parts += 1
            $0.partBytes += bytes
        }
    }
    func publishFailed() { values.withLock { $0.publishFailures += 1 } }
    func delivering(_ streams: Int) { values.withLock { $0.deliveries = streams } }
    var isDelivering: Bool { values.withLock { $0.deliveries > 0 } }

    /// Prometheus text format 0.0.4.
    func text() -> String {
        let now = values.withLock { $0 }
        let rows: [(name: String, kind: String, help: String, value: Int)] = [
            ("statuses_received_total", "counter", "Status messages that arrived.", now.statuses),
            ("statuses_taken_total", "counter", "Statuses whose MAC was right, compared with the record.", now.taken),
            ("statuses_unknown_total", "counter", "Statuses of machines that have no key here.", now.unknown),
            ("registrations_received_total", "counter", "Registrations that arrived.", now.registrations),
            (
                "registrations_dropped_total", "counter", "Registrations not opened, because too many came.",
                now.registrationsDropped
            ),
            ("refused_total", "counter", "Messages whose seal or MAC was wrong, or that were malformed.", now.refused),
            ("commits_total", "counter", "Transactions committed for bursts of events.", now.bursts),
            ("changes_total", "counter", "Changes in those transactions.", now.changes),
            ("orders_published_total", "counter", "Orders that the broker acknowledged.", now.orders),
            ("parts_published_total", "counter", "Software parts that the broker acknowledged.", now.parts),
            ("part_bytes_total", "counter", "Bytes of those parts.", now.partBytes),
            (
                "publish_failures_total", "counter", "Publications that the broker did not acknowledge.",
                now.publishFailures
            ),
            ("deliveries", "gauge", "Software streams with a receiver.", now.deliveries),
        ]
        return rows.map { row in
            "# HELP trunkline_\(row.name) \(row.help)\n# TYPE trunkline_\(row.name) \(row.kind)\ntrunkline_\(row.name) \(row.value)\n"
        }.joined()
    }
}
