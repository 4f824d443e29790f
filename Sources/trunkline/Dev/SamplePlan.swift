import Bundles
import Client
import Fleet
import Foundation
import GroupLanguage

/// The samples in `Config/`, moved to ports that are free here.
struct SamplePlan: Sendable {
    let home: String
    let basePort: Int

    /// Ports that one machine's software may use.
    static let portsPerMachine = 10
    /// The base that the files in `Config/groups` are written with.
    private static let writtenBase = 5060

    init(home: String, basePort: Int) throws {
        self.home = home
        self.basePort = basePort
    }

    /// Other versions of the sample Kamailio, for changes under calls: one that is as good, and one that does not start.
    static let (next, bad) = ("5.6.4", "5.6.5")

    /// A sample group's text, its ports moved from 5060… to `basePort`….
    ///
    /// - Parameter version: of the software, where it is another one.
    func text(_ name: String, version: String? = nil) throws -> String {
        let path = "\(home)/Config/groups/\(name).trunk"
        var text = try TextFile.read(path)
        if let version {
            text.replace(/(?<software>software = "[a-z]+@)[^"]*/) { "\($0.software)\(version)" }
        }
        let pattern = /(?<key>[A-Z]+_PORT\s*=\s*)(?<port>[0-9]+)/
        return text.replacing(pattern) { match in
            let port = Int(match.port) ?? 0
            return "\(match.key)\(port - Self.writtenBase + basePort)"
        }
    }

    func port(_ offset: Int, ofMachine index: Int) -> Int { basePort + index * Self.portsPerMachine + offset }

    func pushAll(_ client: TrunklineClient) async throws {
        for name in ["kamailio", "prosody", "janus"] { try await push("\(home)/Config/software/\(name)", client) }
    }

    /// The sample Kamailio under the two other versions.
    func pushVersions(_ client: TrunklineClient) async throws {
        let copy = FileManager.default.temporaryDirectory.appendingPathComponent("trunkline-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: copy) }
        try FileManager.default.copyItem(atPath: "\(home)/Config/software/kamailio", toPath: copy.path)
        let manifest = copy.appendingPathComponent(SoftwareManifest.fileName)
        let text = try TextFile.read(manifest.path)
        for version in [Self.next, Self.bad] {
            try text.replacing(/version = "[^"]*"/, with: "version = \"\(version)\"")
                .write(to: manifest, atomically: true, encoding: .utf8)
            if version == Self.bad {
                try "#!/bin/sh\necho 'this release does not start' >&2\nexit 1\n".write(
                    to: copy.appendingPathComponent("start.sh"), atomically: false, encoding: .utf8)
            }
            try await push(copy.path, client)
        }
    }

    private func push(_ directory: String, _ client: TrunklineClient) async throws {
        let packed = FileManager.default.temporaryDirectory.appendingPathComponent("trunkline-\(UUID().uuidString)")
            .path
        defer { try? FileManager.default.removeItem(atPath: packed) }
        let text = try TextFile.read("\(directory)/\(SoftwareManifest.fileName)")
        let manifest: SoftwareManifest
        do { manifest = try GroupLanguage.software(from: text) } catch {
            throw Failure(error.rendered(file: "\(directory)/\(SoftwareManifest.fileName)", source: text))
        }
        try BundleWriter.pack(directory: directory, to: packed)
        _ = try await client.pushSoftware(manifest.reference, bundleAt: packed)
    }
}

/// Ports that nothing listens on right now.
enum FreePorts {
    static func one() throws -> Int {
        for _ in 0..<50 {
            let port = Int.random(in: 20_000..<32_000)
            if isFree(port) { return port }
        }
        throw Failure("no free port found between 20000 and 32000")
    }

    /// So many ports in a row, free for TCP and UDP; below the range from which the kernel takes ports for connections.
    static func block(of count: Int) throws -> Int {
        for _ in 0..<200 {
            let base = Int.random(in: 1_000..<1_600) * 20
            if (base..<base + count).allSatisfy(isFree) { return base }
        }
        throw Failure("no \(count) free ports in a row found between 20000 and 32000; give --base-port")
    }

    private static func isFree(_ port: Int) -> Bool {
        [Int32(SOCK_STREAM.rawValue), Int32(SOCK_DGRAM.rawValue)].allSatisfy { kind in
            let descriptor = socket(AF_INET, kind, 0)
            guard descriptor >= 0 else { return false }
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = UInt16(port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            return withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
        }
    }
}
