import Fleet
import FoundationEssentials
import Messaging
import Sealing

/// What the state directory says of who this machine is. None of it changes once the machine has registered, so it stands there twice:
/// what is damaged or lost of the files comes from their copy.
struct KeptIdentity {
    struct Names: Codable {
        var group: String
        var machine: String
    }

    private struct Copy: Codable, Equatable {
        /// By the names of the files.
        var files: [String: Data]
    }

    private(set) var names: Names?
    private(set) var key: SecurityKey?
    private(set) var statusKey: StatusKey?
    private(set) var registration: Data?
    private(set) var ticket: Data?
    /// Which of them came from the copy, for people.
    private(set) var mended: [String] = []
    /// Those that cannot be read, and of which there is no copy.
    private(set) var damaged: [String] = []
    /// Why one of them could not be read now, which says nothing about what is in it.
    private(set) var failure: AgentError?
    private let copy: Copy?

    private static let files: [StateDirectory.File] = [.machine, .key, .statusKey, .registration, .ticket]

    init(in state: StateDirectory) {
        copy = (try? state.read(.identityCopy)).flatMap { $0 }.flatMap {
            try? JSONDecoder().decode(Copy.self, from: $0)
        }
        names = piece(.machine, in: state) { try? JSONDecoder().decode(Names.self, from: $0) }
        key = piece(.key, in: state) { try? SecurityKey(rawRepresentation: $0) }
        statusKey = piece(.statusKey, in: state) { try? StatusKey(rawRepresentation: $0) }
        registration = piece(.registration, in: state) { (try? RegistrationMessage.decode($0)) == nil ? nil : $0 }
        ticket = piece(.ticket, in: state) { (try? Ticket($0, file: "that is kept")) == nil ? nil : $0 }
    }

    private mutating func piece<Value>(
        _ file: StateDirectory.File, in state: StateDirectory, _ parse: (Data) -> Value?
    ) -> Value? {
        let content: Data?
        var unread: AgentError?
        do throws(AgentError) { content = try state.read(file) } catch { (content, unread) = (Data(), error) }
        if let content, let value = parse(content) { return value }
        guard let kept = copy?.files[file.rawValue], let value = parse(kept) else {
            failure = failure ?? unread
            if content != nil { damaged.append(file.rawValue) }
            return nil
        }
        guard unread == nil else { return value }
        mended.append("\(file.rawValue) was \(content == nil ? "lost" : "damaged") and came from its copy")
        // On a disk that takes nothing the copy goes on serving.
        try? state.write(kept, to: file)
        return value
    }

    /// Keeps the copy of what the files say now.
    static func keepCopy(in state: StateDirectory) throws(AgentError) {
        var copy = Copy(files: [:])
        for file in files { copy.files[file.rawValue] = try state.read(file) }
        let kept = (try? state.read(.identityCopy)).flatMap { $0 }.flatMap {
            try? JSONDecoder().decode(Copy.self, from: $0)
        }
        if copy != kept { try state.save(copy, to: .identityCopy) }
    }

    /// What to do where nothing says who this machine is.
    func lost(_ what: String, in state: StateDirectory) -> AgentError {
        let machine = names.map { " \($0.machine)" } ?? ""
        return AgentError(
            .identity,
            "\(state.path) does not say any more who this machine\(machine) is: \(what), and there is no copy of it. What runs is left running. Put the directory back from a backup, or revoke the machine (trunkline machine revoke) and join anew with an empty --state and a new ticket"
        )
    }
}

extension StateDirectory {
    /// What the last order that was kept said; nil where there is none that can be read.
    func lastOrder(under key: SecurityKey) -> OrderContent? {
        let order: AcceptedOrder? = (try? secretValue(from: .order, under: key)).flatMap { $0 }
        return order?.content
    }
}
