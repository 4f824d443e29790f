import Fleet

/// What a simulation came to. Its JSON is what programs read.
package struct SimulationReport: Codable, Sendable {
    /// Milliseconds.
    package struct Times: Codable, Equatable, Sendable {
        package var count: Int
        package var p50: Double
        package var p99: Double
        package var max: Double

        package enum CodingKeys: String, CodingKey {
            case count
            case p50 = "p50_ms"
            case p99 = "p99_ms"
            case max = "max_ms"
        }

        /// Nil: there were none.
        package init?(_ times: [Duration]) {
            guard !times.isEmpty else { return nil }
            let sorted = times.map { ($0 / .microseconds(1)).rounded() / 1000 }.sorted()
            func share(_ share: Double) -> Double { sorted[min(Int(Double(sorted.count) * share), sorted.count - 1)] }
            count = sorted.count
            p50 = share(0.5)
            p99 = share(0.99)
            max = sorted[sorted.count - 1]
        }

        package var words: String { "p50 \(Self.words(p50)), p99 \(Self.words(p99)), max \(Self.words(max))" }

        /// `0.8 ms`, `12 ms`, `3.4 s`
        package static func words(_ milliseconds: Double) -> String {
            func tenths(_ value: Double) -> String {
                let tenths = Int((value * 10).rounded())
                return "\(tenths / 10).\(tenths % 10)"
            }
            switch milliseconds {
            case ..<10: return tenths(milliseconds) + " ms"
            case ..<1000: return "\(Int(milliseconds.rounded())) ms"
            default: return tenths(milliseconds / 1000) + " s"
            }
        }
    }

    /// Of all machines together.
    package struct Traffic: Codable, Equatable, Sendable {
        package var messages: Int
        package var bytes: Int
    }

    package var group: String
    package var seed: UInt64
    package var machines: Int
    package var behaviours: [Behaviour: Int]
    package var seconds: Double
    package var registered: Int
    package var registration: Times?
    /// Machines that registered in a second, from the fleet's start to the last of them.
    package var registrationsPerSecond: Double?
    /// From a status that says something else to the order that mends it.
    package var mended: Times?
    /// From when it was asked for to a broker that has the status of a machine that runs the other software.
    package var switched: Times?
    package var sent: Traffic
    package var received: Traffic
    package var statuses: Int
    package var orders: Int
    package var parts: Int
    package var lostConnections: Int
    package var refusedConnections: Int
    package var twins: Int
    package var notUnderstood: Int
    package var words: [String]
    /// What was expected and did not come: each is a fault of manager, broker or simulator.
    package var lost: [String]
    /// What stands there now that was not there before.
    package var left: [String]
    package var interrupted: Bool

    package enum CodingKeys: String, CodingKey {
        case group, seed, machines, behaviours, seconds, registered, registration
        case registrationsPerSecond = "registrations_per_second"
        case mended, switched, sent, received, statuses, orders, parts
        case lostConnections = "lost_connections"
        case refusedConnections = "refused_connections"
        case twins
        case notUnderstood = "not_understood"
        case words, lost, left, interrupted
    }

    package init(
        group: String, seed: UInt64, behaviours: [Behaviour], took: Duration, counts: Tally.Counts, lost: [String],
        left: [String], interrupted: Bool
    ) {
        self.group = group
        self.seed = seed
        machines = behaviours.count
        self.behaviours = Dictionary(grouping: behaviours, by: { $0 }).mapValues(\.count)
        seconds = Self.seconds(took)
        registered = counts.registrations.count
        registration = Times(counts.registrations)
        let last = Self.seconds(counts.lastRegistration)
        registrationsPerSecond =
            counts.registrations.isEmpty || last == 0
            ? nil : (Double(counts.registrations.count) / last * 10).rounded() / 10
        mended = Times(counts.mends)
        switched = Times(Array(counts.switches.values))
        sent = Traffic(messages: counts.messagesOut, bytes: counts.bytesOut)
        received = Traffic(messages: counts.messagesIn, bytes: counts.bytesIn)
        statuses = counts.statuses
        orders = counts.orders
        parts = counts.parts
        lostConnections = counts.lostConnections
        refusedConnections = counts.refusedConnections
        twins = counts.twins
        notUnderstood = counts.notUnderstood
        words = counts.words
        self.lost = lost
        self.left = left
        self.interrupted = interrupted
    }

    private static func seconds(_ span: Duration) -> Double { (span / .milliseconds(1)).rounded() / 1000 }

    /// For people: a label and what there is to say.
    package var lines: [(String, String)] {
        let mix = Behaviour.allCases.compactMap { kind in behaviours[kind].map { "\($0) \(kind.rawValue)" } }
        func each(_ traffic: Traffic) -> String {
            guard machines > 0 else { return "none" }
            return
                "\(traffic.messages) messages, \(traffic.bytes) bytes; \(traffic.messages / machines) and \(traffic.bytes / machines) a machine"
        }
        return [
            ("group", group),
            ("machines", "\(machines): \(mix.joined(separator: ", ")) (seed \(seed))"),
            ("time", "\(Times.words(seconds * 1000))\(interrupted ? ", interrupted" : "")"),
            (
                "registered",
                "\(registered) of \(machines)\(registrationsPerSecond.map { ", \($0) a second" } ?? "")\(registration.map { ": " + $0.words } ?? "")"
            ),
            ("drift to order", mended.map { "\($0.count): \($0.words)" } ?? ""),
            ("switched", switched.map { "\($0.count): \($0.words)" } ?? ""),
            ("sent", each(sent) + "; \(statuses) statuses"),
            ("received", each(received) + "; \(orders) orders, \(parts) parts"),
            (
                "connections",
                "\(lostConnections) lost, \(refusedConnections) that did not come about\(twins > 0 ? "; \(twins) twins" : "")"
            ),
            (
                "not understood",
                notUnderstood == 0 ? "" : (["\(notUnderstood) messages"] + words).joined(separator: "\n")
            ),
            (
                "lost",
                lost.isEmpty
                    ? "nothing"
                    : (lost.prefix(20) + (lost.count > 20 ? ["and \(lost.count - 20) more"] : [])).joined(
                        separator: "\n")
            ), ("left", left.joined(separator: "\n")),
        ]
    }
}
