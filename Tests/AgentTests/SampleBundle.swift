import Bundles
import Fleet
import Foundation
import GroupLanguage
import Messaging
import Sealing

/// Software made of a few shell scripts, packed as any other.
struct SampleBundle: Sendable {
    var manifest: SoftwareManifest
    var content: Data
    var digest: String
    var contentKey = ContentKey()
    var partSize = 1024

    var count: Int { (content.count - 1) / partSize + 1 }

    /// Runs until it is told to stop, writes its pid, and is well while its file `well` is there.
    static let start = """
        #!/bin/sh
        touch "$TRUNKLINE_RUN/well"
        echo run >> "$TRUNKLINE_DATA/starts"
        trap 'echo TERM >> "$TRUNKLINE_DATA/ending"; exit 0' TERM
        trap 'echo INT >> "$TRUNKLINE_DATA/ending"; exit 0' INT
        echo $$ > "$TRUNKLINE_RUN/pid.new"
        mv "$TRUNKLINE_RUN/pid.new" "$TRUNKLINE_RUN/pid"
        echo "started $GREETING"
        while :; do sleep 1000 & wait $!; done
        """
    static let healthy = """
        #!/bin/sh
        test -f "$TRUNKLINE_RUN/well" || { echo "not well" >&2; exit 1; }
        """

    static let check = SoftwareManifest.HealthCheck(
        exec: ["./healthy.sh"], every: .milliseconds(200), timeout: .seconds(5), failures: 2)

    /// - Parameter padding: random bytes, so that it has many parts.
    /// - Parameter tree: a directory that it has, too, by its own name.
    init(
        version: String = "1", start: String = Self.start, healthy: String = Self.healthy,
        health: SoftwareManifest.HealthCheck? = Self.check, metrics: String? = nil,
        stop: SoftwareManifest.Stop = .init(signal: "TERM", timeout: .seconds(5)), run: [String] = ["./start.sh"],
        drain: String? = nil, undrain: String? = nil, hookTimeout: TimeSpan = .seconds(20), padding: Int = 0,
        more: [String: String] = [:], including tree: URL? = nil
    ) throws {
        manifest = SoftwareManifest(
            name: "sample", version: version, service: "voice", run: run, stop: stop, health: health,
            metrics: metrics.map { _ in SoftwareManifest.MetricsProbe(exec: ["./metrics.sh"], every: .milliseconds(200))
            }, drain: drain.map { _ in .init(exec: ["./drain.sh"], timeout: hookTimeout) },
            undrain: undrain.map { _ in .init(exec: ["./undrain.sh"], timeout: hookTimeout) })
        let directory = FileManager.default.temporaryDirectory.appending(path: "bundle-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let packed = directory.path + ".bundle"
        defer {
            try? FileManager.default.removeItem(at: directory)
            try? FileManager.default.removeItem(atPath: packed)
        }
        var files = ["software.trunk": "software \"sample\" {}", "version": version]
        files["start.sh"] = start
        files["healthy.sh"] = healthy
        files["metrics.sh"] = metrics
        files["drain.sh"] = drain
        files["undrain.sh"] = undrain
        files.merge(more) { _, more in more }
        for (name, text) in files {
            let file = directory.appending(path: name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data((text + "\n").utf8).write(to: file)
            if name.hasSuffix(".sh") {
                try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
            }
        }
        if let tree {
            try FileManager.default.copyItem(at: tree, to: directory.appending(path: tree.lastPathComponent))
        }
        if padding > 0 { try RandomBytes.data(count: padding).write(to: directory.appending(path: "padding")) }
        try BundleWriter.pack(directory: directory.path, to: packed)
        content = try Data(contentsOf: URL(fileURLWithPath: packed))
        digest = BundleDigest.hex(of: content)
    }

    /// One of those in `Config/software`.
    init(sample name: String) throws {
        let directory = Self.configuration.appending(path: "software/\(name)")
        let text = try String(contentsOf: directory.appending(path: SoftwareManifest.fileName), encoding: .utf8)
        let packed = FileManager.default.temporaryDirectory.appending(path: "sample-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: packed) }
        try BundleWriter.pack(directory: directory.path, to: packed)
        self.init(
            manifest: try GroupLanguage.software(from: text),
            content: try Data(contentsOf: URL(fileURLWithPath: packed)), partSize: 256 << 10)
    }

    static let configuration = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Config")

    /// An agent, packed as `trunkline agent push` does it.
    init(agent program: Data, version: String) throws {
        self.init(
            manifest: SoftwareManifest(
                name: SoftwareManifest.agentName, version: version, service: "agent", run: ["./trunkline-agent"]),
            content: try Self.packed(program), partSize: 256 << 10)
    }

    private init(manifest: SoftwareManifest, content: Data, partSize: Int) {
        self.manifest = manifest
        self.content = content
        self.partSize = partSize
        digest = BundleDigest.hex(of: content)
    }

    private static func packed(_ program: Data) throws -> Data {
        let directory = FileManager.default.temporaryDirectory.appending(path: "agent-bundle-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let packed = directory.path + ".bundle"
        defer {
            try? FileManager.default.removeItem(at: directory)
            try? FileManager.default.removeItem(atPath: packed)
        }
        let file = directory.appending(path: SoftwareManifest.agentName)
        try program.write(to: file)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
        try Data("software \"trunkline-agent\" {}".utf8).write(to: directory.appending(path: "software.trunk"))
        try BundleWriter.pack(directory: directory.path, to: packed)
        return try Data(contentsOf: URL(fileURLWithPath: packed))
    }

    /// What an order says of it.
    var offer: AgentOffer {
        AgentOffer(
            version: manifest.version, digest: digest, size: content.count, partSize: partSize, parts: count,
            contentKey: contentKey.rawRepresentation)
    }

    func part(_ index: Int) throws -> Data {
        let end = min((index + 1) * partSize, content.count)
        let seal = PartSeal(key: contentKey, digest: digest, count: count)
        return try seal.seal(Data(content[index * partSize..<end]), index: index)
    }

    func order(
        _ generation: Int, action: Order.Action = .run, environment: [String: String] = [:],
        delivery: RolloutPolicy.Delivery = .shared, heartbeat: TimeSpan = .seconds(10), issue: Int? = nil,
        settle: TimeSpan? = nil, trust: OrderContent.Trust? = nil, watch: OrderContent.Watch? = nil
    ) -> OrderContent {
        OrderContent(
            action: action, generation: generation, issue: Issue(epoch: 1, number: issue ?? generation), digest: digest,
            size: content.count, partSize: partSize,
            parts: count, contentKey: contentKey.rawRepresentation, delivery: delivery, manifest: manifest,
            environment: environment, heartbeat: heartbeat, trust: trust, watch: watch, settle: settle)
    }
}
