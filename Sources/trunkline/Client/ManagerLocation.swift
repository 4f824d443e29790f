import ArgumentParser
import Client
import Fleet
import Foundation

/// What the environment says; an empty variable says nothing.
enum Variables {
    static var set: [String: String] { ProcessInfo.processInfo.environment.filter { !$0.value.isEmpty } }
}

/// How every client verb finds the manager.
struct ManagerLocation: ParsableArguments {
    /// Of a manager on this machine: the one that the environment names, or that was begun here, or the one of the package.
    static var defaultData: String {
        if let named = Variables.set["TRUNKLINE_DATA_DIR"] { return named }
        let isOfPackage = FileManager.default.fileExists(atPath: packageData + "/trunkline.sqlite")
        return !FileManager.default.fileExists(atPath: "trunkline-data") && isOfPackage ? packageData : "trunkline-data"
    }
    private static let packageData = "/var/lib/trunkline"

    @Option(help: ArgumentHelp("The manager's address.", valueName: "url"))
    var server: String?

    @Option(help: ArgumentHelp("An API token; TRUNKLINE_TOKEN keeps it out of the process list.", valueName: "token"))
    var token: String?

    @Option(
        help: ArgumentHelp(
            "Whom to believe about an https server: a file of certificates (trust.pem of the manager).",
            valueName: "file"))
    var trust: String?

    @Option(help: ArgumentHelp("A manager that `trunkline context` knows.", valueName: "name"))
    var context: String?

    @Option(help: ArgumentHelp("The manager's data directory, on the same machine.", valueName: "dir"))
    var data: String?

    /// Runs `body` with a client and turns its errors into one sentence on standard error.
    func with<Answer>(_ body: (TrunklineClient) async throws -> Answer) async throws -> Answer {
        let (server, token, trust) = try find()
        do {
            return try await withClient(server: server, token: token, trust: trust) { client in
                do { return try await body(client) } catch let error as ClientError where error.status == 404 {
                    let words = CommandLine.arguments.dropFirst(2).filter { !$0.hasPrefix("-") }
                    guard let near = await ManagerNames.nearest(to: words, client) else { throw error }
                    throw Failure("\(error.description) Did you mean \(near)?")
                }
            }
        } catch let error as ClientError {
            throw Failure(error.description)
        }
    }

    /// The context that says where the manager is; nil: something else does.
    private func chosen(_ environment: [String: String]) throws -> Contexts.Context? {
        if let context {
            guard server == nil, data == nil else {
                throw ValidationError("--context names a manager, and so do --server and --data")
            }
            return try Contexts.chosen(context)
        }
        guard server == nil, data == nil, environment["TRUNKLINE_SERVER"] == nil else { return nil }
        if let name = environment["TRUNKLINE_CONTEXT"] { return try Contexts.chosen(name) }
        return environment["TRUNKLINE_DATA_DIR"] == nil ? try Contexts.chosen(nil) : nil
    }

    private func find() throws -> (server: String, token: String, trust: String?) {
        let environment = Variables.set
        let given = (server ?? environment["TRUNKLINE_SERVER"], token ?? environment["TRUNKLINE_TOKEN"])
        let trusted = try (trust ?? environment["TRUNKLINE_TRUST"]).map { path in
            guard let bytes = FileManager.default.contents(atPath: path) else {
                throw Failure("\(path) can't be read; it is to hold the certificates of the authorities to trust")
            }
            return String(decoding: bytes, as: UTF8.self)
        }
        if let chosen = try chosen(environment) {
            // A context is one manager: a token that the environment has for another is not sent there.
            return (chosen.server, token ?? chosen.token, trusted ?? chosen.trust)
        }
        if let server = given.0, let token = given.1, trusted != nil || server.hasPrefix("http://") {
            return (server, token, trusted)
        }
        let path = "\(data ?? Self.defaultData)/server.json"
        let file = FileManager.default.contents(atPath: path)
            .flatMap { try? JSONDecoder().decode([String: String].self, from: $0) }
        guard let server = given.0 ?? file?["server"], let token = given.1 ?? file?["token"] else {
            throw Failure(
                """
                no manager found: \(path) is not there or can't be read. Start one with `trunkline serve --data DIR`, or name it \
                with --server and --token, TRUNKLINE_SERVER and TRUNKLINE_TOKEN, trunkline context add, or --data DIR.
                """)
        }
        return (server, token, trusted ?? file?["trust"])
    }
}
