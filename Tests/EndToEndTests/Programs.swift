import Foundation

/// A program that was run to its end.
struct Ended: Sendable {
    var status: Int32
    var output: String
    var error: String

    /// Runs it with these arguments and this text as its input.
    static func run(
        _ program: URL, _ arguments: [String], environment: [String: String] = [:], input: String = "",
        directory: URL? = nil
    ) throws -> Ended {
        let process = Process()
        process.executableURL = program
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, given in given }
        process.currentDirectoryURL = directory
        let folder = FileManager.default.temporaryDirectory.appending(path: "ended-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        // Files and no pipes: nothing here can fill up and block.
        func file(_ name: String, _ content: String = "") throws -> URL {
            let file = folder.appending(path: name)
            try content.write(to: file, atomically: false, encoding: .utf8)
            return file
        }
        let (input, output, error) = (try file("in", input), try file("out"), try file("err"))
        process.standardInput = try FileHandle(forReadingFrom: input)
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: error)
        try process.run()
        process.waitUntilExit()
        return Ended(
            status: process.terminationStatus, output: try String(contentsOf: output, encoding: .utf8),
            error: try String(contentsOf: error, encoding: .utf8))
    }
}

extension Installation {
    /// `trunkline` with these arguments against this manager.
    func trunkline(_ arguments: String..., input: String = "") throws -> Ended {
        try trunkline(arguments, input: input)
    }

    func trunkline(_ arguments: [String], input: String = "") throws -> Ended {
        try Ended.run(
            Self.programs.appending(path: "trunkline"), arguments, environment: clientEnvironment, input: input,
            directory: directory)
    }

    /// For the command line.
    var clientEnvironment: [String: String] {
        ["TRUNKLINE_SERVER": server, "TRUNKLINE_TOKEN": token, "TRUNKLINE_TRUST": trustFile]
    }

    /// What a request with curl was answered with.
    struct Answer {
        var status: Int
        var body: String
        var headers: String

        /// A field of the JSON object in the body.
        func field(_ name: String) -> Any? {
            (try? JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any])?[name]
        }

        func header(_ name: String) -> String? {
            headers.split(whereSeparator: \.isNewline).first { $0.lowercased().hasPrefix(name.lowercased() + ":") }.map
            {
                $0.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces)
            }
        }
    }

    /// The API as anybody's HTTP client sees it.
    func curl(
        _ method: String, _ path: String, token: String? = nil, headers: [String] = [], body: String? = nil,
        file: String? = nil
    ) throws -> Answer {
        let head = directory.appending(path: "head-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: head) }
        var arguments = [
            "-sS", "--cacert", trustFile, "--max-time", "60", "-X", method, "-D", head, "-w", "\n%{http_code}",
            server + path,
        ]
        arguments += ["-H", "Authorization: Bearer \(token ?? self.token)"]
        for header in headers { arguments += ["-H", header] }
        if body != nil { arguments += ["--data-binary", "@-"] }
        if let file { arguments += ["-T", file] }
        let ended = try Ended.run(URL(fileURLWithPath: "/usr/bin/curl"), arguments, input: body ?? "")
        let lines = ended.output.split(separator: "\n", omittingEmptySubsequences: false)
        return Answer(
            status: lines.last.flatMap { Int($0) } ?? 0, body: lines.dropLast().joined(separator: "\n"),
            headers: (try? String(contentsOfFile: head, encoding: .utf8)) ?? "")
    }
}
