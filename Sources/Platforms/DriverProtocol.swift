import Fleet
import Foundation

/// One request to a driver: one line of JSON.
struct DriverRequest: Encodable, Sendable {
    enum Operation: String, Encodable, Sendable {
        case launch, release, list
    }

    var v = 1
    var id: Int
    var op: Operation
    var machine: String?
    var group: String?
    var index: Int?
    var labels: [String: String]?
    var ticket: BootTicket?

    init(id: Int, op: Operation, machine: String? = nil) {
        self.id = id
        self.op = op
        self.machine = machine
    }

    init(id: Int, launching request: LaunchRequest) {
        self.init(id: id, op: .launch, machine: request.machine)
        group = request.group
        index = request.index
        labels = request.labels
        ticket = request.ticket
    }

    func line() throws(PlatformError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do { return Array(try encoder.encode(self)) + [10] } catch {
            throw PlatformError(.invalid, "The request can't be written as JSON: \(error)")
        }
    }
}

/// One line from a driver: the answer to a request, or an event.
struct DriverLine: Decodable, Sendable {
    var id: Int?
    var ok: Bool?
    var error: String?
    /// Beside `ok: false`: what was asked for may have been done, or yet be.
    var uncertain: Bool?
    var machines: [String]?
    var ended: [String]?
    var event: String?
    var machine: String?
    var reason: String?
}

/// Cuts a stream of bytes into lines, none longer than `limit`.
struct LineSplitter {
    /// Of a request to a driver, and of what it writes for people.
    static let longest = 65_536
    /// Of an answer: a list of 60,000 machines with the longest ids.
    static let longestAnswer = 4_194_304

    struct TooLong: Error {}

    private let limit: Int
    private var rest: [UInt8] = []

    init(limit: Int = LineSplitter.longest) { self.limit = limit }

    /// The lines that `bytes` complete, without their ends.
    mutating func lines(adding bytes: [UInt8]) throws(TooLong) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        for piece in bytes.split(separator: 10, omittingEmptySubsequences: false).enumerated() {
            if piece.offset > 0 {
                lines.append(rest)
                rest = []
            }
            guard rest.count + piece.element.count <= limit else { throw TooLong() }
            rest.append(contentsOf: piece.element)
        }
        return lines
    }
}
