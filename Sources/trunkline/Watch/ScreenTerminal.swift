import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// The terminal while a program has all of it: the alternate screen, no echo, no line wrap, no cursor. However the program ends but by
/// SIGKILL, the terminal is what it was.
enum ScreenTerminal {
    private struct State {
        /// How it was; nil: it is not ours.
        var before: termios?
        var isOurs = false
        /// What stands on it.
        var shown: [String] = []
    }

    private static let state = Mutex(State())
    private static let restoring: Void = {
        // Where the output can't be written the program ends at once.
        atexit { ScreenTerminal.leave() }
    }()

    /// Keys can be read.
    static var hasKeys: Bool { isatty(STDIN_FILENO) == 1 }

    static func enter() {
        _ = restoring
        let isNew = state.withLock { state in
            guard !state.isOurs else { return false }
            state.isOurs = true
            state.shown = []
            var now = termios()
            if hasKeys, tcgetattr(STDIN_FILENO, &now) == 0 {
                state.before = now
                now.c_lflag &= ~tcflag_t(ICANON | ECHO)
                tcsetattr(STDIN_FILENO, TCSAFLUSH, &now)
            }
            return true
        }
        if isNew { StandardOutput.write("\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l\u{1B}[2J") }
    }

    static func leave() {
        let before: termios?? = state.withLock { state in
            guard state.isOurs else { return nil }
            state.isOurs = false
            return .some(state.before)
        }
        guard let before else { return }
        Streams.put("\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l")
        if var before { tcsetattr(STDIN_FILENO, TCSANOW, &before) }
    }

    /// Writes the lines that are not what stands there already.
    static func draw(_ lines: [ScreenLine], anew: Bool) {
        let painted = lines.map(\.painted)
        let text = state.withLock { state in
            guard state.isOurs else { return "" }
            var text = anew ? "\u{1B}[2J" : ""
            for (row, line) in painted.enumerated()
            where anew || !state.shown.indices.contains(row) || state.shown[row] != line {
                text += "\u{1B}[\(row + 1);1H\(line)\u{1B}[K"
            }
            state.shown = painted
            return text
        }
        if !text.isEmpty { StandardOutput.write(text) }
    }
}

extension ScreenLine {
    fileprivate var painted: String {
        let text = colour.map { Terminal.paint(self.text, $0) } ?? self.text
        return isSelected && Terminal.colours ? "\u{1B}[7m\(self.text)\u{1B}[0m" : text
    }
}
