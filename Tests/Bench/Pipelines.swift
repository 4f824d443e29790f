import BarePipeline
import CMosquitto
import Client
import Fleet
import Foundation
import Glibc
import Synchronization
import TestSupport

private let partSize = 262_144
private let window = 64

/// One bare pipeline in a process of its own: this program, called for nothing else.
struct Pipeline {
    private static let word = "bare-pipeline"

    var port: Int
    var number: Int
    var key: String
    var parts: Int
    var digest: String
    var file: String

    init(port: Int, number: Int, key: String, parts: Int, digest: String, file: String) {
        (self.port, self.number, self.key, self.parts, self.digest, self.file) = (
            port, number, key, parts, digest, file
        )
    }

    /// Nil where this program was called for something else.
    init?(arguments: [String]) {
        guard arguments.count == 8, arguments[1] == Self.word, let port = Int(arguments[2]),
            let number = Int(arguments[3]), let parts = Int(arguments[5])
        else { return nil }
        self.init(
            port: port, number: number, key: arguments[4], parts: parts, digest: arguments[6], file: arguments[7])
    }

    var arguments: [String] { [Self.word, "\(port)", "\(number)", key, "\(parts)", digest, file] }

    func run() throws {
        let key = [UInt8](Data(base64Encoded: key) ?? Data())
        guard key.count == 32 else { throw BenchError("a pipeline without a key") }
        let failure = trunkline_bare_pipeline(
            Int32(port), "bare/parts/+", "bare/progress/\(number)", key, Int32(parts), digest, file)
        if let failure { throw BenchError("a bare pipeline: \(String(cString: failure))") }
    }
}

/// The bytes of this software to so many pipelines, until all of them have brought them to the disk; and the CPU that each took.
func bareDelivery(
    of software: SoftwareView, _ site: Site, to count: Int
) async throws -> (took: Duration, each: Duration) {
    let bundle = try Data(contentsOf: site.directory.appending(path: "data/bundles/\(software.digest).bundle"))
    let key = (0..<32).map { _ in UInt8.random(in: 0...255) }
    let parts = try stride(from: 0, to: bundle.count, by: partSize).enumerated().map { number, start in
        let part = [UInt8](bundle[start..<min(start + partSize, bundle.count)])
        var sealed = [UInt8](repeating: 0, count: part.count + 16)
        guard trunkline_bare_seal(key, Int32(number), part, part.count, &sealed) == 1 else {
            throw BenchError("a part cannot be sealed")
        }
        return sealed
    }
    let publisher = try BareClient("publisher", port: site.broker.port)
    // By each pipeline.
    let progress = Mutex([Int](repeating: 0, count: count))
    publisher.onArrival { message in
        let topic = String(cString: message.pointee.topic)
        let text = UnsafeRawBufferPointer(start: message.pointee.payload, count: Int(message.pointee.payloadlen))
        guard let number = topic.split(separator: "/").last.flatMap({ Int($0) }), topic.hasPrefix("bare/progress/"),
            let taken = Int(String(decoding: text, as: UTF8.self))
        else { return }
        progress.withLock { $0[number] = taken }
    }
    try await publisher.subscribe("bare/progress/+", qos: 0)
    let pipelines = try (0..<count).map { number in
        let file = site.directory.appending(path: "pipeline-\(number)")
        let pipeline = Pipeline(
            port: site.broker.port, number: number, key: Data(key).base64EncodedString(), parts: parts.count,
            digest: software.digest, file: file.path + ".bare")
        return (
            try Spawned(URL(filePath: "/proc/self/exe").resolvingSymlinksInPath(), pipeline.arguments, log: file), file
        )
    }
    defer { for (_, file) in pipelines { try? FileManager.default.removeItem(atPath: file.path + ".bare") } }
    let isReady = try await eventually {
        pipelines.allSatisfy { (try? String(contentsOf: $1, encoding: .utf8))?.contains("ready") == true }
    }
    guard isReady else { throw BenchError("the bare pipelines do not begin") }
    let before = childrenCPU()
    let start = ContinuousClock.now
    for (number, part) in parts.enumerated() {
        while progress.withLock({ taken in taken.contains { number - $0 >= window } }) {
            try await Task.sleep(for: .microseconds(200))
        }
        publisher.publish(part, on: "bare/parts/\(number)", qos: 1)
    }
    for (pipeline, file) in pipelines {
        guard pipeline.ended() == 0 else {
            throw BenchError((try? String(contentsOf: file, encoding: .utf8)) ?? "a bare pipeline failed")
        }
    }
    let took = ContinuousClock.now - start
    return (took, (childrenCPU() - before) / count)
}

/// Of those that have ended.
private func childrenCPU() -> Duration {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_CHILDREN.rawValue), &usage)
    return .seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        + .microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
}
