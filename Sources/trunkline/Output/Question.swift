import ArgumentParser
import Foundation

#if canImport(Glibc)
    import Glibc
#endif

/// What a person is asked at the terminal: one line on standard error, one typed line back.
enum Question {
    /// Whether somebody sits there to see a question and to answer it.
    static var canBeAsked: Bool { isatty(STDIN_FILENO) == 1 && Terminal.isError }

    /// The answer without its line end; nil where the terminal was closed (Ctrl-D), 3 or 28 last where the person gave up.
    ///
    /// What was typed before the question was seen is no answer to it. Ctrl-C and Ctrl-\ are taken as letters that end the line, so
    /// that no terminal is left behind without echo.
    private static func typed(_ question: String, echo: Bool) throws -> [UInt8]? {
        var before = termios()
        guard tcgetattr(STDIN_FILENO, &before) == 0 else { throw Failure("the terminal can't be asked") }
        var during = before
        during.c_lflag &= ~tcflag_t(ISIG)
        if !echo { during.c_lflag &= ~tcflag_t(ECHO) }
        withUnsafeMutableBytes(of: &during.c_cc) { keys in
            keys[Int(VEOL)] = 3
            keys[Int(VEOL2)] = 28
        }
        guard tcsetattr(STDIN_FILENO, TCSAFLUSH, &during) == 0 else { throw Failure("the terminal can't be asked") }
        defer { tcsetattr(STDIN_FILENO, TCSANOW, &before) }
        Note.write(question)
        var line: [UInt8] = []
        while true {
            var byte: UInt8 = 0
            let count = read(STDIN_FILENO, &byte, 1)
            if count < 0, errno == EINTR { continue }
            guard count == 1 else { return line.isEmpty ? nil : line }
            if byte == UInt8(ascii: "\n") { return line }
            line.append(byte)
            if byte == 3 || byte == 28 { return line }
        }
    }

    /// The line that was typed; nil where the terminal was closed. Ends with 130 where the person gave up, after `otherwise`.
    static func ask(_ question: String, echo: Bool = true, otherwise: String) throws -> String? {
        let line = try typed(question, echo: echo)
        let isGivenUp = line?.last == 3 || line?.last == 28
        if !echo || line == nil || isGivenUp { Note.write("\n") }
        guard !isGivenUp else {
            Note.line(otherwise)
            throw ExitCode(130)
        }
        return line.map { String(decoding: $0, as: UTF8.self) }
    }
}

/// A value that is not to be seen: typed without echo at a terminal, else read from standard input to its end.
enum HiddenInput {
    static func read(prompt: String) throws -> String {
        guard isatty(STDIN_FILENO) == 1 else {
            return try text(Streams.read("-"), of: "the value on standard input")
        }
        return try Question.ask(prompt, echo: false, otherwise: "nothing was set") ?? ""
    }

    static func text(_ bytes: Data, of what: String) throws -> String {
        guard var text = String(validating: bytes, as: UTF8.self) else { throw Failure("\(what) is not UTF-8 text") }
        if text.hasSuffix("\n") { text.removeLast() }
        return text
    }
}
