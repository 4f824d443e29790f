import Glibc

/// What can be said of a program file before anybody tries to run it: `execve` itself answers "no such file" for a missing interpreter
/// and for a script with Windows line ends alike.
package enum ProgramFile {
    /// So many bytes Linux reads of a script's first line (`BINPRM_BUF_SIZE` of `execve(2)`).
    static let longestFirstLine = 256

    /// Why the kernel will not run it, wherever it is; nil where nothing speaks against it.
    ///
    /// - Parameters:
    ///   - head: its first 256 bytes.
    ///   - isExecutable: whether anybody may execute it.
    package static func fault(of head: some Collection<UInt8>, isExecutable: Bool) -> String? {
        guard isExecutable else { return "is not executable (chmod +x)" }
        guard !head.starts(with: [0x7f, UInt8(ascii: "E"), UInt8(ascii: "L"), UInt8(ascii: "F")]) else { return nil }
        guard head.starts(with: Array("#!".utf8)) else {
            return "is neither a program nor a script whose first line is #! and an interpreter"
        }
        guard firstLine(of: head).last != UInt8(ascii: "\r") else {
            return "has lines that end with CR LF, as on Windows, so that its interpreter is not found (dos2unix)"
        }
        return interpreter(of: head) == nil ? "names no interpreter behind its #!" : nil
    }

    /// What the first line of a script names; nil where it is no script.
    package static func interpreter(of head: some Collection<UInt8>) -> String? {
        guard head.starts(with: Array("#!".utf8)) else { return nil }
        let words = firstLine(of: head).dropFirst(2).split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        return words.first.map { String(decoding: $0, as: UTF8.self) }
    }

    private static func firstLine(of head: some Collection<UInt8>) -> [UInt8] {
        Array(head.prefix(longestFirstLine).prefix { $0 != UInt8(ascii: "\n") })
    }

    /// Why a file will not run, whatever machine it is on; nil where nothing speaks against it, or it cannot be read.
    package static func fault(ofFile path: String) -> String? {
        var status = stat()
        guard stat(path, &status) == 0 else { return "is not there" }
        guard status.st_mode & S_IFMT == S_IFREG else { return "is not a file" }
        guard let head = head(of: path) else { return nil }
        return fault(of: head, isExecutable: status.st_mode & 0o111 != 0)
    }

    /// The interpreter that a script needs and that this machine does not have; nil where nothing is missing.
    ///
    /// - Parameter directory: in which it would run.
    package static func missingInterpreter(ofFile path: String, in directory: String) -> String? {
        guard let interpreter = head(of: path).flatMap({ interpreter(of: $0) }) else { return nil }
        return isMissing(interpreter, in: directory) ? interpreter : nil
    }

    private static func isMissing(_ interpreter: String, in directory: String) -> Bool {
        access(interpreter.hasPrefix("/") ? interpreter : directory + "/" + interpreter, X_OK) != 0
    }

    private static func head(of path: String) -> [UInt8]? {
        guard let file = try? FileDescriptor(opening: path, O_RDONLY | O_NONBLOCK) else { return nil }
        var bytes = [UInt8](repeating: 0, count: longestFirstLine)
        let count = bytes.withUnsafeMutableBytes { buffer in (try? file.read(into: buffer, entry: path)) ?? -1 }
        return count < 0 ? nil : Array(bytes.prefix(count))
    }
}
