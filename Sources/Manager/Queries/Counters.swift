import Fleet
import Synchronization

/// What the manager counts about itself, for `/metrics`.
final class Counters: Sendable {
    private struct Values {
        var statuses = 0
        var taken = 0
        var unknown = 0
        var passedOver = 0
        var merged = 0
        var dropped = 0
        var registrations = 0
        var registrationsDropped = 0
        var registrationsRepeated = 0
        var refused = 0
        var refusalsUnlisted = 0
        var eventsUnlisted = 0
        var eventPages = 0
        var bursts = 0
        var changes = 0
        var orders = 0
        var orderLatency = Histogram()
        var parts = 0
        var partBytes = 0
        var publishFailures = 0
        var deliveries = 0
        /// By the name of the way out.
        var notifications: [String: Notifications] = [:]
    }

    private struct Notifications {
        var delivered = 0
        var failed = 0
        var dead = 0
        var failingSince: Timestamp?
    }

    private let values = Mutex(Values())
    private let droppedByConnection: @Sendable () -> Int

    init(droppedByConnection: @escaping @Sendable () -> Int = { 0 }) { self.droppedByConnection = droppedByConnection }

    func statusReceived() { values.withLock { $0.statuses += 1 } }
    func statusTaken() { values.withLock { $0.taken += 1 } }
    func statusPassedOver() { values.withLock { $0.passedOver += 1 } }
    func statusMerged() { values.withLock { $0.merged += 1 } }
    func messageDropped() { values.withLock { $0.dropped += 1 } }
    func statusUnknown() { values.withLock { $0.unknown += 1 } }
    func registrationReceived() { values.withLock { $0.registrations += 1 } }
    func registrationRepeated() { values.withLock { $0.registrationsRepeated += 1 } }
    func registrationDropped() { values.withLock { $0.registrationsDropped += 1 } }
    func refused() { values.withLock { $0.refused += 1 } }
    func refusalUnlisted() { values.withLock { $0.refusalsUnlisted += 1 } }
    func eventsUnlisted(_ count: Int) { if count > 0 { values.withLock { $0.eventsUnlisted += count } } }
    func eventPageRead() { values.withLock { $0.eventPages += 1 } }
    func committed(bursts: Int, changes: Int) {
        values.withLock {
            $0.bursts += bursts
            $0.changes += changes
        }
    }
    /// - Parameter latency: since the status that led to it came; nil: something else did.
    func orderPublished(after latency: TimeSpan? = nil) {
        values.withLock {
            $0.orders += 1
            if let latency { $0.orderLatency.add(latency) }
        }
    }
    func partPublished(bytes: Int) {
        values.withLock {
            $0.parts += 1
            $0.partBytes += bytes
        }
    }
    func publishFailed() { values.withLock { $0.publishFailures += 1 } }
    func delivering(_ streams: Int) { values.withLock { $0.deliveries = streams } }
    var isDelivering: Bool { values.withLock { $0.deliveries > 0 } }

    /// Says that there is such a way out, so that it stands in the metrics before something left by it.
    func notifies(by name: String) { count(name) { _ in } }
    func notificationsDelivered(_ count: Int, by name: String) {
        self.count(name) {
            $0.delivered += count
            $0.failingSince = nil
        }
    }
    func notificationFailed(by name: String, at now: Timestamp) {
        count(name) {
            $0.failed += 1
            $0.failingSince = $0.failingSince ?? now
        }
    }
    func notificationsGivenUp(_ count: Int, by name: String) { self.count(name) { $0.dead += count } }
    /// Since when it takes nothing; nil: it does.
    func notificationsFailingSince(by name: String) -> Timestamp? {
        values.withLock { $0.notifications[name]?.failingSince }
    }

    private func count(_ name: String, _ change: (inout Notifications) -> Void) {
        values.withLock { change(&$0.notifications[name, default: Notifications()]) }
    }

    func write(to text: inout MetricsText) {
        let now = values.withLock { $0 }
        text.counter("statuses_received_total", "Status messages that arrived.", now.statuses)
        text.counter("statuses_taken_total", "Statuses whose MAC was right, compared with the record.", now.taken)
        text.counter("statuses_unknown_total", "Statuses of machines that have no key here.", now.unknown)
        text.counter(
            "statuses_passed_over_total", "Statuses over a machine's budget, for which a newer one stood.",
            now.passedOver)
        text.counter(
            "statuses_merged_total",
            "Statuses of which a newer one of the machine took the place while they waited for the control room.",
            now.merged)
        text.counter(
            "statuses_dropped_total", "Statuses for which the intake had no room; they are asked for again.",
            now.dropped)
        text.counter("registrations_received_total", "Registrations that arrived.", now.registrations)
        text.counter(
            "registrations_dropped_total", "Registrations not opened, because too many came; they are said again.",
            now.registrationsDropped)
        text.counter(
            "registrations_repeated_total",
            "Registrations that were said again while the same one was being opened, decided or answered.",
            now.registrationsRepeated)
        text.counter("refused_total", "Messages whose seal or MAC was wrong, or that were malformed.", now.refused)
        text.counter(
            "refusals_unlisted_total",
            "Of those, not in the history: over the budget of a machine or of all strangers.",
            now.refusalsUnlisted)
        text.counter(
            "events_unlisted_total", "Changes that flapped: a later event has their number.",
            now.eventsUnlisted)
        text.counter(
            "event_pages_total", "Pages of the history that event streams took, as fast as their readers read.",
            now.eventPages)
        text.counter(
            "messages_dropped_total", "Messages that were too large, or for which the connection had no room.",
            droppedByConnection())
        text.counter("commits_total", "Transactions committed for bursts of events.", now.bursts)
        text.counter("changes_total", "Changes in those transactions.", now.changes)
        text.counter("orders_published_total", "Orders that the broker acknowledged.", now.orders)
        text.histogram(
            "order_latency_seconds",
            "From the arrival of a status that is not what the record says to the broker's word that it has the machine's order.",
            now.orderLatency)
        text.counter("parts_published_total", "Software parts that the broker acknowledged.", now.parts)
        text.counter("part_bytes_total", "Bytes of those parts.", now.partBytes)
        text.counter("publish_failures_total", "Publications that the broker did not acknowledge.", now.publishFailures)
        text.gauge("deliveries", "Software streams with a receiver.", Double(now.deliveries))
    }

    /// What leaves by webhook, program and mail.
    func writeNotifications(to text: inout MetricsText, at now: Timestamp) {
        let ways = values.withLock { $0.notifications }.sorted { $0.key < $1.key }
        func write(_ name: String, _ kind: MetricsText.Kind, _ help: String, _ value: (Notifications) -> Double) {
            text.family("notifications_" + name, kind, help, ways.map { (["by": $0.key], value($0.value)) })
        }
        write("delivered_total", .counter, "Notifications that were taken.") { Double($0.delivered) }
        write("failures_total", .counter, "Tries that were not taken; they are repeated.") { Double($0.failed) }
        write("dead_total", .counter, "Notifications that were given up.") { Double($0.dead) }
        write("failing_seconds", .gauge, "Since when none is taken; 0: they are.") { way in
            way.failingSince.map { Double(max(1, (now - $0).milliseconds)) / 1000 } ?? 0
        }
    }
}
