import Foundation
import TestSupport
import Testing

@Suite("The command line's streams and input")
struct CommandStreamTests {
    private static let program = Installation.programs.appending(path: "trunkline").path

    /// Runs a line of shell in which `$T` is the program.
    private func shell(_ line: String, environment: [String: String] = [:], directory: URL? = nil) throws -> Ended {
        try Ended.run(
            URL(fileURLWithPath: "/bin/bash"), ["-c", line],
            environment: environment.merging(["T": Self.program]) { given, _ in given }, directory: directory)
    }

    @Test("Output that can't be written ends with 1 and a reason; a reader that goes away ends it quietly")
    func output() throws {
        let full = try shell("\"$T\" --help > /dev/full")
        #expect(full.status == 1)
        #expect(full.error.contains("No space left"), "\(full.error)")
        #expect(try shell("\"$T\" --help >&-").status == 1)
        let gone = try shell("set -o pipefail; for i in 1 2 3 4 5; do \"$T\" --help | true || exit 1; done")
        #expect(gone.status == 0, "\(gone.error)")
    }

    @Test("Closed standard input and standard error crash nothing")
    func closed() throws {
        let input = try shell("\"$T\" check - <&-")
        #expect(input.status == 1)
        #expect(input.error.contains("standard input can't be read"), "\(input.error)")
        #expect(try shell("\"$T\" no-such-verb 2>&-").status == 2)
        #expect(try shell("\"$T\" group list 2>&-", environment: ["TRUNKLINE_SERVER": "nonsense"]).status == 1)
    }

    @Test("A file may be a pipe")
    func pipe() throws {
        let found = try shell("\"$T\" check <(printf 'group \"a\" { }')")
        #expect(found.status == 1)
        #expect(found.error.contains("lacks `service`"), "\(found.error)")
    }

    @Test(
        "A wrong address is refused in plain words",
        arguments: [
            ("http://127.0.0.1:99999", "1 to 65535"), ("127.0.0.1:7070", "begins with https://"),
            ("https://", "begins with https://"), ("ftp://x", "begins with https://"),
        ])
    func address(_ server: String, _ words: String) throws {
        let ended = try shell(
            "\"$T\" group list --trust /etc/ssl/certs/ca-certificates.crt",
            environment: ["TRUNKLINE_SERVER": server, "TRUNKLINE_TOKEN": "x"])
        #expect(ended.status == 1)
        #expect(ended.error.contains(words), "\(ended.error)")
        #expect(!ended.error.contains("HTTPClientError"))
    }

    @Test("A token that no token can be is never shown")
    func token() throws {
        let ended = try shell(
            "\"$T\" group list",
            environment: ["TRUNKLINE_SERVER": "http://127.0.0.1:1", "TRUNKLINE_TOKEN": "sesame\nopen"])
        #expect(ended.status == 1)
        #expect(ended.error.contains("line end"), "\(ended.error)")
        #expect(!ended.error.contains("sesame"))
    }

    @Test("A verb that does not exist is named with the one that was meant, also by help")
    func verbs() throws {
        for line in ["\"$T\" groop list", "\"$T\" help groop"] {
            let ended = try shell(line)
            #expect(ended.status == 2)
            #expect(ended.error.contains("did you mean `group`?"), "\(ended.error)")
        }
        let inner = try shell("\"$T\" machine lst")
        #expect(inner.status == 2)
        #expect(inner.error.contains("did you mean `list`?"), "\(inner.error)")
    }

    @Test("fmt keeps links and modes, and goes on after a file that is not there")
    func format() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "fmt-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let file = directory.appending(path: "real.trunk")
        try "group \"a\" {\n service=voice\nsoftware = \"soft@1\"\nmachines{count=1 platform=local}}\n"
            .write(to: file, atomically: true, encoding: .utf8)
        let ended = try shell(
            "chmod 640 real.trunk; ln -s real.trunk link.trunk; \"$T\" fmt missing.trunk link.trunk",
            directory: directory)
        #expect(ended.status == 1)
        #expect(ended.error.contains("missing.trunk"), "\(ended.error)")
        #expect(ended.output == "link.trunk\n")
        #expect(try String(contentsOf: file, encoding: .utf8).contains("  service"))
        let left = try shell("stat -c %a real.trunk; readlink link.trunk; ls", directory: directory)
        #expect(left.output == "640\nreal.trunk\nlink.trunk\nreal.trunk\n")
    }
}
