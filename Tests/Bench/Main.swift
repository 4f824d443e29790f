import Dispatch
import Foundation
import Glibc
import Synchronization

/// `make bench`: what Trunkline costs, beside a bare broker or none, measured in one run on one machine. Ratios hold better than figures.
///
/// ROW names some of the rows, REPEAT says how often each is measured, MACHINES how many are simulated, RECORD=1 writes RESULT.md.
/// GROWTH=100,1000,10000 measures fleets of these sizes instead, and draws what one machine costs.
@main
struct Bench {
    static func main() async {
        if let pipeline = Pipeline(arguments: CommandLine.arguments) {
            do { return try pipeline.run() } catch { fail(error) }
        }
        let work = Task { try await run() }
        let ending = Ending()
        let sources = ending.cancels(work)
        defer { for source in sources { source.cancel() } }
        do { try await work.value } catch {
            if let number = ending.signal { exit(128 + number) }
            fail(error)
        }
    }

    private static func fail(_ error: any Error) -> Never {
        say("bench: \(error)")
        exit(1)
    }

    private static func run() async throws {
        let order = try BenchOrder(ProcessInfo.processInfo.environment)
        if !order.growth.isEmpty { return try await grow(order) }
        var results: [Measured] = []
        for suite in Suite.all(machines: order.machines) {
            let wanted = order.rows.intersection(suite.rows)
            if !wanted.isEmpty { results += try await measured(suite, wanted, repeats: order.repeats) }
        }
        print("")
        print(Measured.table(results))
        if let file = order.record { try Record.write(results, machines: order.machines, to: file) }
    }

    private static func grow(_ order: BenchOrder) async throws {
        let lines = try await Growth.measure(order.growth)
        print("")
        print(Growth.table(lines))
        guard let file = order.record?.deletingLastPathComponent().appending(path: "growth.svg") else { return }
        try Growth.picture(lines, of: try Host.description).write(to: file, atomically: true, encoding: .utf8)
        say("drawn in \(file.lastPathComponent)")
    }

    /// As often as was asked for; otherwise three times what takes less than twenty seconds.
    private static func measured(_ suite: Suite, _ wanted: Set<String>, repeats: Int?) async throws -> [Measured] {
        var results: [Measured] = []
        var round = 0
        while true {
            round += 1
            say("\(wanted.sorted().joined(separator: ", ")), \(round) …")
            let start = ContinuousClock.now
            for row in try await suite.run(wanted) { Measured.add(row, to: &results) }
            let isQuick = ContinuousClock.now - start < .seconds(20)
            if round >= repeats ?? (isQuick ? 3 : 1) { return results }
        }
    }
}

/// Ctrl-C and SIGTERM: the work is cancelled, so that it takes its brokers and managers down.
final class Ending: Sendable {
    private let number = Mutex<Int32?>(nil)

    /// The one that came.
    var signal: Int32? { number.withLock { $0 } }

    /// As long as what it returns is kept.
    func cancels(_ work: Task<Void, any Error>) -> [any DispatchSourceSignal] {
        [SIGINT, SIGTERM, SIGHUP].map { number in
            // Not ignored: a child would ignore it, too.
            Glibc.signal(number) { _ in }
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { [self] in
                self.number.withLock { $0 = number }
                say("ended by a signal: taking down what was started …")
                work.cancel()
            }
            source.activate()
            return source
        }
    }
}

/// What the environment asks for.
struct BenchOrder {
    var rows: Set<String>
    /// Nil: by how long it takes.
    var repeats: Int?
    var machines: Int
    /// Sizes of fleets; empty: no picture of their growth.
    var growth: [Int] = []
    /// Where the result is to be kept; nil: nowhere.
    var record: URL?

    /// A process may have 20,000 files open, and each machine is one.
    private static let machines = 10...19_000

    init(_ environment: [String: String]) throws {
        func number(_ name: String, in range: ClosedRange<Int>) throws -> Int? {
            guard let text = environment[name], !text.isEmpty else { return nil }
            guard let number = Int(text), range.contains(number) else {
                throw BenchError("\(name)=\(text): it takes \(range.lowerBound) to \(range.upperBound)")
            }
            return number
        }
        repeats = try number("REPEAT", in: 1...100)
        machines = try number("MACHINES", in: Self.machines) ?? 1000
        for text in (environment["GROWTH"] ?? "").split(separator: ",") {
            guard let count = Int(text), Self.machines.contains(count) else {
                throw BenchError(
                    "GROWTH=\(text): it takes numbers of machines from 10 to 19000, such as 100,1000,10000")
            }
            growth.append(count)
        }
        let all = Suite.all(machines: machines).flatMap(\.rows)
        let named = (environment["ROW"] ?? "").split(whereSeparator: { $0 == "," || $0 == " " }).map(String.init)
        for name in named where !all.contains(name) {
            throw BenchError("there is no row \(name); there are \(all.joined(separator: ", "))")
        }
        rows = Set(named.isEmpty ? all : named)
        if environment["RECORD"] == "1" {
            record = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "RESULT.md")
        }
    }
}

/// Rows that are measured together.
struct Suite: Sendable {
    var rows: [String]
    /// Returns what it measured of the wanted rows.
    var run: @Sendable (Set<String>) async throws -> [Row]

    /// The one list of what there is to measure.
    static func all(machines: Int) -> [Suite] {
        func site(_ row: String, secure: Bool = false, _ body: @escaping @Sendable (Site) async throws -> [Row])
            -> Suite
        {
            Suite(rows: [row]) { _ in
                var rows: [Row] = []
                try await Site.with(secure: secure) { rows = try await body($0) }
                return rows
            }
        }
        return [
            site("statuses", statusRows), site("settled", settledRows), site("drift", driftRows),
            site("floods", secure: true, floodRows),
        ] + [1, 5, 20].map { count in site("delivery-\(count)") { try await deliveryRows($0, agents: count) } } + [
            Suite(rows: ["registration", "memory", "idle", "switch"]) { wanted in
                var rows: [Row] = []
                try await Site.with { rows = try await fleetRows($0, machines: machines, wanted) }
                return rows
            },
            Suite(rows: ["dead", "manager-killed", "broker-killed"]) { wanted in
                var rows: [Row] = []
                try await Site.with { rows = try await troubleRows($0, machines: machines, wanted) }
                return rows
            },
            site("views") { try await viewRows($0, machines: machines) },
            site("aggregate") { try await aggregateRows($0) },
            site("events", eventRows),
        ]
    }
}

/// Progress, on standard error.
func say(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
