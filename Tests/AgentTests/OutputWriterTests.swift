import Fleet
import Foundation
import Glibc
import SystemPackage
import Testing
import TestSupport

@testable import Agent

/// A program whose output the real writer keeps.
private final class Kept: Sendable {
    let log: LogDirectory
    let pipes: OutputPipes
    let flags: String
    let writer: ProcessIdentity
    private let program: Task<SoftwareProcess.Ending, any Error>

    /// The script finds the directory for the test's own files in `$1`.
    init(_ script: String, in directory: LogDirectory? = nil) throws {
        log = try directory ?? LogDirectory()
        flags = FileManager.default.temporaryDirectory.appending(path: "flags-\(UUID().uuidString.prefix(8))").path
        try FileManager.default.createDirectory(atPath: flags, withIntermediateDirectories: true)
        pipes = OutputPipes(directory: log.path)
        let (output, error) = try pipes.make()
        writer = try pipes.startWriter(program: AgentProcess.program.path)
        program = Task { [log, flags] in
            try await SoftwareProcess.run(
                ["/bin/sh", "-c", script, "sh", flags], in: log.path, environment: ["PATH": SoftwareProcess.path],
                as: nil, standardOutput: output, standardError: error, launcher: AgentProcess.program.path
            ) { _ in }
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: flags) }

    func raise(_ flag: String) { _ = FileManager.default.createFile(atPath: flags + "/" + flag, contents: nil) }

    func isRaised(_ flag: String) -> Bool { FileManager.default.fileExists(atPath: flags + "/" + flag) }

    func ended() async throws -> SoftwareProcess.Ending { try await program.value }

    /// How the writer ended, once it has.
    static func status(_ writer: ProcessIdentity) async throws -> Int32 {
        var status: Int32 = -1
        let hasEnded = try await eventually(within: .seconds(40)) {
            waitpid(writer.pid, &status, WNOHANG) == writer.pid
        }
        guard hasEnded else { throw Unexpected("the writer runs on") }
        return status
    }
}

@Suite("The process that keeps the software's output")
struct OutputWriterTests {
    @Test(
        "By whatever path something is written it is kept, in the order of its stream; the writer ends with the software"
    )
    func anyPath() async throws {
        let kept = try Kept(
            """
            echo one
            echo two > /dev/stdout
            echo three > /dev/stderr
            echo four > /proc/self/fd/1
            echo five >> /dev/stderr
            echo six >&2
            (setsid sh -c 'echo seven > /dev/stdout') &
            wait
            printf 'last words'
            printf 'last error' >&2
            """)
        #expect(try await kept.ended() == .exited(0))
        #expect(try await Kept.status(kept.writer) == 0)
        let said = kept.log.said
        #expect(
            said.filter { $0.hasPrefix("stdout") }
                == ["one", "two", "four", "seven", "last words"].map { "stdout F " + $0 })
        #expect(
            said.filter { $0.hasPrefix("stderr") } == ["three", "five", "six", "last error"].map { "stderr F " + $0 })
        #expect(said.count == 9)
    }

    @Test("Long and binary lines come whole, and cost as much as they are long")
    func longAndBinary() async throws {
        let kept = try Kept(
            "head -c 100000 /dev/zero | tr '\\0' x; echo; printf 'a\\000\\377\\033[2Jb\\n'; echo end")
        #expect(try await kept.ended() == .exited(0))
        #expect(try await Kept.status(kept.writer) == 0)
        let content = try #require(FileManager.default.contents(atPath: kept.log.path + "/output.log"))
        #expect(content.range(of: Data([97, 0, 255, 27]) + Data("[2Jb\n".utf8)) != nil)
        let lines = kept.log.said
        let parts = 100_000 / LineFormat.longestPart
        let (part, rest) = (
            String(repeating: "x", count: LineFormat.longestPart),
            String(repeating: "x", count: 100_000 % LineFormat.longestPart)
        )
        #expect(lines.prefix(parts).allSatisfy { $0 == "stdout P " + part })
        #expect(lines[parts] == "stdout F " + rest)
        #expect(lines.last == "stdout F end" && content.count < 100_000 + 15 * 45 + 100)
    }

    @Test("A writer that is killed takes no software along, and the next one goes on where it was")
    func killed() async throws {
        let kept = try Kept(
            """
            for n in 1 2 3; do echo "before $n"; done
            until test -e "$1/killed"; do sleep 0.02; done
            for n in 1 2 3; do echo "without $n"; echo "error $n" > /dev/stderr; done
            touch "$1/written"
            until test -e "$1/again"; do sleep 0.02; done
            echo after
            """)
        #expect(try await eventually(within: .seconds(40)) { kept.log.said.count == 3 })
        // What asks programs to end is not meant for it.
        for signal in [SIGTERM, SIGINT, SIGHUP] { kill(kept.writer.pid, signal) }
        kill(kept.writer.pid, SIGKILL)
        #expect(try await Kept.status(kept.writer) == SIGKILL)
        kept.raise("killed")
        #expect(try await eventually(within: .seconds(40)) { kept.isRaised("written") })
        let next = try kept.pipes.startWriter(program: AgentProcess.program.path)
        #expect(try await eventually(within: .seconds(40)) { kept.log.said.count == 9 })
        kept.raise("again")
        #expect(try await kept.ended() == .exited(0))
        #expect(try await Kept.status(next) == 0)
        let words = ["before 1", "before 2", "before 3", "without 1", "without 2", "without 3", "after"]
        #expect(kept.log.said.filter { $0.hasPrefix("stdout") } == words.map { "stdout F " + $0 })
    }

    @Test("One whose software never came ends when its pipes are gone, and waits where they are there")
    func nobody() async throws {
        func start() throws -> (log: LogDirectory, writer: ProcessIdentity) {
            let log = try LogDirectory()
            let pipes = OutputPipes(directory: log.path)
            let (output, error) = try pipes.make()
            try output.close()
            try error.close()
            return (log, try pipes.startWriter(program: AgentProcess.program.path))
        }
        let (waiting, gone) = (try start(), try start())
        try FileManager.default.removeItem(atPath: gone.log.path)
        #expect(try await Kept.status(gone.writer) == 0)
        // It had as many looks.
        #expect(kill(waiting.writer.pid, 0) == 0)
        try FileManager.default.removeItem(atPath: waiting.log.path)
        #expect(try await Kept.status(waiting.writer) == 0)
    }

    @Test("Of two writers one reads, and the other takes over when it is gone")
    func two() async throws {
        let kept = try Kept(
            """
            n=0
            until test -e "$1/two"; do sleep 0.02; done
            while test $n -lt 3000; do n=$((n + 1)); echo $n; done
            until test -e "$1/one"; do sleep 0.02; done
            while test $n -lt 6000; do n=$((n + 1)); echo $n; done
            """)
        let second = try kept.pipes.startWriter(program: AgentProcess.program.path)
        kept.raise("two")
        #expect(try await eventually(within: .seconds(40)) { kept.log.said.count == 3000 })
        kill(kept.writer.pid, SIGKILL)
        #expect(try await Kept.status(kept.writer) == SIGKILL)
        kept.raise("one")
        #expect(try await kept.ended() == .exited(0))
        #expect(try await Kept.status(second) == 0)
        #expect(kept.log.said == (1...6000).map { "stdout F \($0)" })
    }

    @Test("A stream that floods does not keep the other one waiting, and costs no more than its budget")
    func flood() async throws {
        let kept = try Kept(
            """
            yes 'a line that says nothing, again and again' &
            for n in 1 2 3 4 5; do echo "heard $n" >&2; done
            until test -e "$1/end"; do sleep 0.02; done
            kill $!
            """)
        #expect(
            try await eventually(within: .seconds(60)) {
                KeptLog.contains("stderr F heard 5", in: kept.log.path)
                    && KeptLog.contains("lines of stdout were left out", in: kept.log.path)
            })
        kept.raise("end")
        #expect(try await kept.ended() == .exited(0))
        #expect(try await Kept.status(kept.writer) == 0)
        let sizes = (0...4).compactMap {
            (try? FileManager.default.attributesOfItem(atPath: kept.log.path + "/" + OutputFile.name($0)))?[.size]
                as? Int
        }
        #expect(sizes.count <= OutputFile.kept + 1 && sizes.allSatisfy { $0 < OutputFile.largest + (256 << 10) })
    }

    @Test(
        "A full disk loses output, never makes the software wait, and later it is said how much was lost",
        .enabled(if: SmallDisk.isPossible, "no disk can be mounted here"))
    func fullDisk() async throws {
        let disk = try SmallDisk()
        defer { disk.unmount() }
        let kept = try Kept(
            """
            echo before
            until test -e "$1/full"; do sleep 0.02; done
            n=0
            line="lost in a full disk, and as long as fills a pipe, but not as long as to go over the budget of what is kept"
            while test $n -lt 24000; do n=$((n + 1)); echo "$line"; done
            touch "$1/done"
            until test -e "$1/room"; do sleep 0.02; done
            echo after
            """, in: disk.log)
        #expect(try await eventually(within: .seconds(40)) { kept.log.said == ["stdout F before"] })
        try disk.fill()
        kept.raise("full")
        // It wrote twice what the pipe holds.
        #expect(try await eventually(within: .seconds(60)) { kept.isRaised("done") })
        try disk.empty()
        #expect(
            try await eventually(within: .seconds(40)) {
                KeptLog.contains("lines could not be kept: No space left", in: kept.log.path)
            })
        kept.raise("room")
        #expect(try await kept.ended() == .exited(0))
        #expect(try await Kept.status(kept.writer) == 0)
        #expect(KeptLog.last(in: kept.log.path) == "stdout F after")
    }
}

/// A disk of 8 MiB under a log's directory.
private struct SmallDisk {
    /// Mounting takes root, and a container may forbid even that.
    static let isPossible: Bool = {
        guard getuid() == 0, let disk = try? SmallDisk() else { return false }
        disk.unmount()
        return true
    }()

    let log: LogDirectory

    init() throws {
        log = try LogDirectory()
        try Self.run("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", log.path)
    }

    func unmount() { try? Self.run("umount", "-l", log.path) }

    func fill() throws {
        // It ends with the disk's end.
        try? Self.run("sh", "-c", "cat /dev/zero > '\(log.path)/filler' 2> /dev/null")
        guard FileManager.default.fileExists(atPath: log.path + "/filler") else {
            throw Unexpected("nothing was filled")
        }
    }

    func empty() throws { try FileManager.default.removeItem(atPath: log.path + "/filler") }

    private static func run(_ words: String...) throws {
        let process = try Process.run(URL(fileURLWithPath: "/usr/bin/env"), arguments: words)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Unexpected(words.joined(separator: " ")) }
    }
}
