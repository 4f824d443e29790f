import Foundation
import Glibc
import TestSupport

/// A program at a terminal of its own, as a person has it before them: what it shows, and what is typed.
final class TerminalSession {
    private let process = Process()
    private let terminal: CInt
    /// All that it showed so far.
    private(set) var shown = ""

    init(
        _ program: URL, _ arguments: [String], environment: [String: String] = [:], directory: URL? = nil,
        columns: UInt16 = 200, rows: UInt16 = 50
    ) throws {
        var (ours, line): (CInt, CInt) = (-1, -1)
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        guard openpty(&ours, &line, nil, nil, &size) == 0, fcntl(ours, F_SETFD, FD_CLOEXEC) == 0,
            fcntl(line, F_SETFD, FD_CLOEXEC) == 0, fcntl(ours, F_SETFL, O_NONBLOCK) == 0
        else { throw Unexpected("no terminal: \(String(cString: strerror(errno)))") }
        terminal = ours
        let handle = FileHandle(fileDescriptor: line, closeOnDealloc: true)
        (process.standardInput, process.standardOutput, process.standardError) = (handle, handle, handle)
        process.executableURL = program
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, given in given }
        process.currentDirectoryURL = directory
        try process.run()
        // So that the terminal ends with the program.
        try handle.close()
    }

    deinit {
        if process.isRunning { process.terminate() }
        close(terminal)
    }

    /// Waits until it has shown this; everything so far where it does not.
    func shows(_ text: String) async throws -> Bool {
        try await eventually(within: .seconds(30)) {
            read()
            return shown.contains(text)
        }
    }

    func type(_ text: String) {
        let bytes = Array(text.utf8)
        _ = write(terminal, bytes, bytes.count)
    }

    func resize(columns: UInt16, rows: UInt16) {
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(terminal, UInt(TIOCSWINSZ), &size)
        // The kernel tells the terminal's own processes, and ours is none of them.
        signal(SIGWINCH)
    }

    func signal(_ number: CInt) { kill(process.processIdentifier, number) }

    /// Whether what is typed shows itself, and in lines.
    var echoes: Bool {
        var now = termios()
        return tcgetattr(terminal, &now) == 0 && now.c_lflag & tcflag_t(ECHO | ICANON) == tcflag_t(ECHO | ICANON)
    }

    /// Its exit status, when it has ended.
    func ended() async throws -> Int32 {
        guard
            try await eventually(
                within: .seconds(60),
                {
                    read()
                    return !process.isRunning
                })
        else { throw Unexpected("it does not end; it showed:\n\(shown)") }
        read()
        return process.terminationStatus
    }

    private func read() {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(terminal, &buffer, buffer.count)
            guard count > 0 else { return }
            shown += String(decoding: buffer[..<count], as: UTF8.self).replacingOccurrences(of: "\r\n", with: "\n")
        }
    }
}

extension Installation {
    /// `trunkline` with these arguments against this manager, at a terminal.
    func terminal(_ arguments: String..., columns: UInt16 = 200, rows: UInt16 = 50) throws -> TerminalSession {
        try TerminalSession(
            Self.programs.appending(path: "trunkline"), arguments,
            environment: ["TRUNKLINE_SERVER": server, "TRUNKLINE_TOKEN": token, "TRUNKLINE_TRUST": trustFile],
            directory: directory, columns: columns, rows: rows)
    }
}
