import ArgumentParser
import Client
import Fleet
import Foundation

/// Managers by name, kept for one user: below the configuration directory, for its owner's eyes only.
struct Contexts: Codable {
    struct Context: Codable {
        var server: String
        var token: String
        /// Certificates, PEM; nil: those of the system.
        var trust: String?
    }

    var current: String?
    var contexts: [String: Context] = [:]

    static var file: String {
        let environment = Variables.set
        let base = environment["XDG_CONFIG_HOME"] ?? "\(environment["HOME"] ?? "")/.config"
        return "\(base)/trunkline/contexts.json"
    }

    /// Empty where there is no file yet.
    static func read() throws -> Contexts {
        guard let bytes = FileManager.default.contents(atPath: file) else { return Contexts() }
        do { return try JSONDecoder().decode(Contexts.self, from: bytes) } catch {
            throw Failure("\(file) can't be read as contexts; mend it, or remove it and add them anew")
        }
    }

    /// The one that is chosen; nil: none is.
    static func chosen(_ name: String?) throws -> Context? {
        let contexts = try read()
        guard let name = name ?? contexts.current else { return nil }
        guard let context = contexts.contexts[name] else {
            throw Failure("there is no context \(name); trunkline context list shows those that there are")
        }
        return context
    }

    func write() throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let text = String(decoding: try encoder.encode(self), as: UTF8.self)
        let directory = URL(fileURLWithPath: Self.file).deletingLastPathComponent().path
        do {
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch { throw Failure("\(directory) can't be made") }
        let fresh = Self.file + ".new-\(getpid())"
        try SecretFile.write(text + "\n", to: fresh)
        guard rename(fresh, Self.file) == 0 else {
            let reason = String(cString: strerror(errno))
            unlink(fresh)
            throw Failure("\(Self.file) can't be written: \(reason)")
        }
    }
}

/// `trunkline context …`
struct ContextCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "context", abstract: "Name managers, and choose the one that client verbs go to.",
        discussion: """
            TRUNKLINE_CONTEXT chooses another for one shell; --server, --data and their variables go before. They are kept in \
            ~/.config/trunkline/contexts.json (0600).
            """,
        subcommands: [Add.self, List.self, Use.self, Remove.self])

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add a manager, or change where it is; the first one is used from then on.",
            discussion: "Without --token the token is asked for without echo, or read from standard input.")
        @Argument var name: String
        @Option(help: ArgumentHelp("The manager's address.", valueName: "url")) var server: String
        @Option(help: ArgumentHelp("Its token; better typed, since other users see arguments.", valueName: "token"))
        var token: String?
        @Option(help: ArgumentHelp("Whom to believe about it: trust.pem of the manager.", valueName: "file"))
        var trust: String?

        func run() throws {
            guard Name.isValid(name) else { throw ValidationError("a name is made of a-z, 0-9 and -") }
            let certificates = try trust.map { try TextFile.read($0) }
            let secret = try token ?? HiddenInput.read(prompt: "Token of \(name) (not shown): ")
            guard !secret.isEmpty else { throw Failure("the token is empty; nothing was added") }
            let address: String
            do {
                address = try ServerAddress.check(server)
                _ = try ServerAddress.check(token: secret)
            } catch let error as ClientError { throw Failure("\(error.description); nothing was added") }
            var contexts = try Contexts.read()
            contexts.contexts[name] = .init(server: address, token: secret, trust: certificates)
            contexts.current = contexts.current ?? name
            try contexts.write()
            Note.line(contexts.current == name ? "\(name) is used from now on" : "\(name) added")
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the managers; tokens are not shown.")
        @OptionGroup var output: OutputOptions

        private struct Item: Codable {
            var name: String
            var server: String
            var current: Bool
        }

        func run() throws {
            let contexts = try Contexts.read()
            let items = contexts.contexts.sorted { $0.key < $1.key }.map {
                Item(name: $0.key, server: $0.value.server, current: $0.key == contexts.current)
            }
            try output.list(
                items,
                columns: [
                    Column("context") { "\($0.name)\($0.current ? " *" : "")" }, Column("server", \.server),
                ], name: \.name)
        }
    }

    struct Use: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Choose the manager that client verbs go to.")
        @Argument var name: String

        func run() throws {
            _ = try Contexts.chosen(name)
            var contexts = try Contexts.read()
            contexts.current = name
            try contexts.write()
            Note.line("\(name) is used from now on")
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "rm", abstract: "Forget a manager and its token.")
        @Argument var name: String

        func run() throws {
            _ = try Contexts.chosen(name)
            var contexts = try Contexts.read()
            contexts.contexts[name] = nil
            if contexts.current == name { contexts.current = nil }
            try contexts.write()
            Note.line("\(name) removed")
        }
    }
}
