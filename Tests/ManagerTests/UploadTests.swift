import Bundles
import Crypto
import Foundation
import HummingbirdTesting
import HTTPTypes
import Fleet
import TestSupport
import Testing

@testable import Manager

#if canImport(Glibc)
    import Glibc
#endif

@Suite("Uploads")
struct UploadTests {
    private func digest(_ bytes: Data) -> String { Data(SHA256.hash(data: bytes)).base64EncodedString() }

    @Test("A bundle is 201 at first, 200 with the same bytes again, 409 with others")
    func push() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                let bytes = try site.bundle()
                let first = try await ask.push(bytes)
                #expect(first.status == 201 && first["Location"] == "/v1/software/soft/1")
                #expect(try await ask.push(bytes).status == 200)
                let page = try site.bundle("other")
                #expect(try await ask.push(page).status == 422, "it says that it is other@1")
                #expect(site.bundles.count == 1 && site.uploads.isEmpty)
            }
        }
    }

    @Test("What the system's tar made with gzip or zstd is taken, whatever of the types its sender names")
    func others() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                for (name, compression, type) in [
                    ("soft", "--gzip", "application/gzip"), ("page", "--zstd", "application/zstd"),
                    ("third", "--zstd", "application/octet-stream"),
                ] {
                    let source = site.configuration.path(name)
                    try BundleReader.unpack(bundleAt: site.write(site.bundle(name), as: "\(name).bundle"), into: source)
                    let tar = Process()
                    tar.executableURL = URL(filePath: "/bin/tar")
                    tar.arguments = ["cf", source + ".tar", compression, "-C", source, "."]
                    try tar.run()
                    tar.waitUntilExit()
                    let bytes = try Data(contentsOf: URL(filePath: source + ".tar"))
                    #expect(try await ask.push(bytes, "\(name)/1", ["Content-Type": type]).status == 201, "\(name)")
                }
                #expect(site.bundles.count == 3)
            }
        }
    }

    @Test("A right digest is taken in both forms, algorithms that nobody knows are ignored")
    func rightDigests() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                let bytes = try site.bundle()
                let right = digest(bytes)
                for (name, value) in [
                    ("Repr-Digest", "sha-256=:\(right):"), ("Digest", "SHA-256=\(right)"),
                    ("Repr-Digest", "md5=:AAAA:, sha-256=:\(right):"), ("Repr-Digest", "sha-512=:AAAA:"),
                ] {
                    let status = try await ask.push(bytes, "soft/1", [name: value]).status
                    #expect([200, 201].contains(status), "\(value)")
                }
            }
        }
    }

    @Test("A wrong or malformed digest is 400, and nothing is kept")
    func wrongDigests() async throws {
        try await Site.with { site in
            try await site.rest { ask in
                let bytes = try site.bundle()
                let wrong = digest(Data("x".utf8))
                for (name, value) in [
                    ("Repr-Digest", "sha-256=:\(wrong):"), ("Digest", "sha-256=\(wrong)"), ("Repr-Digest", "sha-256"),
                    ("Repr-Digest", "sha-256=:AAAA:"), ("Digest", "sha-256=!"),
                ] {
                    #expect(try await ask.push(bytes, "soft/1", [name: value]).status == 400, "\(value)")
                }
                #expect(site.uploads.isEmpty && site.bundles.isEmpty)
            }
        }
    }

    @Test("What is empty, no bundle, of another type or too large is refused, and nothing is kept")
    func refused() async throws {
        try await Site.with(largestBundle: 4096) { site in
            try await site.rest { ask in
                #expect(try await ask.push(Data()).status == 400)
                #expect(try await ask.push(Data("no bundle".utf8)).status == 422)
                #expect(try await ask.push(Data(count: 4097)).status == 413)
                let bundle = try site.bundle()
                #expect(try await ask.push(bundle, "soft/1", ["Content-Type": "text/plain"]).status == 415)
                #expect(try await ask.push(bundle, "So!ft/1").status == 400)
                #expect(site.uploads.isEmpty && site.bundles.isEmpty)
            }
        }
    }

    @Test(
        "A program that no machine could run is 422 with its name and what is wrong, whoever uploads it",
        arguments: [
            ("#!/bin/sh\r\nexit 0\r\n", 0o755, "start.sh (run) has lines that end with CR LF"),
            ("#!/bin/sh\n", 0o644, "start.sh (run) is not executable (chmod +x)"),
            ("#!bin/python\n", 0o755, "start.sh (run) needs the interpreter bin/python, which is not in the bundle"),
            ("exit 0\n", 0o755, "start.sh (run) is neither a program nor a script"),
        ])
    func programs(script: String, mode: Int, fault: String) async throws {
        try await Site.with { site in
            try await site.rest { ask in
                let refused = try await ask.push(site.bundle(script: script, mode: mode))
                #expect(refused.status == 422)
                #expect(refused["Content-Type"] == "application/problem+json")
                #expect(try refused.problem().detail.contains(fault), "\(refused.body)")
                #expect(site.uploads.isEmpty && site.bundles.isEmpty)
                // An interpreter of the machine's own is not the manager's to judge.
                #expect(try await ask.push(site.bundle(script: "#!/opt/none/bin/python\n")).status == 201)
            }
        }
    }

    @Test("Too large is 413 by its header alone and by its stream, and nothing is kept")
    func tooLarge() async throws {
        try await Site.with(largestBundle: 4096) { site in
            try await site.rest(.live) { ask in
                let port = try #require(ask.client.port)
                let head =
                    "PUT /v1/software/soft/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(site.token)\r\nConnection: close\r\n"
                let announced = try await Wire.exchange(port, head + "Content-Length: 4097\r\n\r\n")
                #expect(announced.hasPrefix("HTTP/1.1 413"))
                let chunk = "1000\r\n" + String(repeating: "x", count: 4096) + "\r\n"
                let streamed = try await Wire.exchange(
                    port, head + "Transfer-Encoding: chunked\r\n\r\n" + chunk + chunk + "0\r\n\r\n")
                #expect(streamed.hasPrefix("HTTP/1.1 413"), "\(streamed)")
                #expect(site.uploads.isEmpty)
            }
        }
    }

    @Test("An upload that breaks off leaves no file and no software")
    func broken() async throws {
        try await Site.with { site in
            try await site.rest(.live) { ask in
                let port = try #require(ask.client.port)
                let descriptor = try TCP.connect(to: port)
                Wire.send(
                    descriptor,
                    "PUT /v1/software/soft/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(site.token)\r\nContent-Length: 1000\r\n\r\nhalf"
                )
                #expect(try await eventually { site.uploads.count == 1 })
                close(descriptor)
                #expect(try await eventually { site.uploads.isEmpty })
                #expect(try await ask(.get, "/v1/software/soft/1").status == 404)
            }
        }
    }
}
