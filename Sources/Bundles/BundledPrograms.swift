package import Fleet

/// What of a bundle somebody may want to run: its files as programs, its links, and nothing of their content.
///
/// Bounded by `Limits.entries` and the 256 bytes that Linux reads of a script's first line.
package struct BundledPrograms: Hashable, Sendable {
    enum Entry: Hashable, Sendable {
        case file(fault: String?, interpreter: String?)
        case link(to: String)
    }

    private var entries: [[UInt8]: Entry] = [:]

    mutating func add(_ path: EntryPath, head: [UInt8], isExecutable: Bool) {
        entries[path.bytes] = .file(
            fault: ProgramFile.fault(of: head, isExecutable: isExecutable),
            interpreter: isExecutable ? ProgramFile.interpreter(of: head) : nil)
    }

    mutating func addLink(_ path: EntryPath, to target: String) { entries[path.bytes] = .link(to: target) }

    /// Why software with this manifest would not run on any machine, a line for each program; empty where nothing speaks against it.
    ///
    /// A plain name or an absolute path is the machine's own program, of which a bundle says nothing.
    package func faults(of manifest: SoftwareManifest) -> [String] {
        manifest.programs.compactMap { use, command in
            guard let program = command.first, Self.isBundled(program), let fault = fault(of: program) else {
                return nil
            }
            let shown = program.hasPrefix("./") ? String(program.dropFirst(2)) : program
            return "\(shown.forPeople(atMost: 300)) (\(use)) \(fault)"
        }
    }

    /// The interpreters outside of the bundle that the manifest's scripts need, and by which program; a machine has them or not.
    package func outerInterpreters(of manifest: SoftwareManifest) -> [(
        program: String, use: String, interpreter: String
    )] {
        manifest.programs.compactMap { use, command in
            guard let program = command.first, Self.isBundled(program),
                case .file(_, let interpreter?) = file(program), interpreter.hasPrefix("/")
            else { return nil }
            return (program, use, interpreter)
        }
    }

    private static func isBundled(_ program: String) -> Bool { program.contains("/") && !program.hasPrefix("/") }

    private func fault(of program: String) -> String? {
        guard case .file(let fault, let interpreter) = file(program) else {
            return isDirectory(program) ? "is not a file" : "is not there"
        }
        if let fault { return fault }
        // Relative to the working directory, which is the release.
        guard let interpreter, !interpreter.hasPrefix("/") else { return nil }
        let shown = interpreter.forPeople(atMost: 300)
        guard case .file(let broken, _) = file(interpreter) else {
            return "needs the interpreter \(shown), which is not in the bundle"
        }
        return broken.map { "needs the interpreter \(shown), which \($0)" }
    }

    /// As many links as Linux follows on the way to one file (`path_resolution(7)`).
    private static let mostLinks = 40

    /// What is there when all links are followed.
    private func file(_ path: String) -> Entry? {
        guard let place = resolved(path) else { return nil }
        return entries[place]
    }

    private func isDirectory(_ path: String) -> Bool {
        guard let place = resolved(path) else { return false }
        return place.isEmpty || entries.keys.contains { $0.starts(with: place + [UInt8(ascii: "/")]) }
    }

    /// Nil where it leads out of the bundle, or around in a circle.
    private func resolved(_ path: String) -> [UInt8]? {
        var names = Array(path.split(separator: "/").reversed())
        var here: [Substring] = []
        var links = 0
        while let name = names.popLast() {
            switch name {
            case ".": continue
            case "..":
                guard here.popLast() != nil else { return nil }
            default:
                here.append(name)
                guard case .link(let target) = entries[Array(here.joined(separator: "/").utf8)] else { continue }
                links += 1
                guard links <= Self.mostLinks else { return nil }
                here.removeLast()
                names += target.split(separator: "/").reversed()
            }
        }
        return Array(here.joined(separator: "/").utf8)
    }
}
