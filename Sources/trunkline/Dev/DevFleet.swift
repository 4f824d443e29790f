import Client
import Fleet
import Foundation
import OperatingSystem
import Subprocess
import SystemPackage

/// Broker and manager as child processes, taken down in order whatever happens in between.
struct DevFleet {
    let home: String
    let directory: DevDirectory
    let port: Int
    let brokerPort: Int
    let bootPort: Int

    func run(_ body: @escaping @Sendable (TrunklineClient, Int) async throws -> Void) async throws {
        defer { Leftovers.end(below: directory.path) }
        let own = try Programs.absolute(FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        let broker = ChildProcess(
            name: "the pair of brokers", program: "\(home)/mosquitto/start.sh",
            arguments: [
                directory.file("mosquitto"), "\(brokerPort)", "\(bootPort)", directory.file("broker"),
            ], log: directory.file("broker.log"))
        let manager = ChildProcess(
            name: "the manager", program: own,
            arguments: [
                "serve", "--data", directory.path, "--listen", "127.0.0.1:\(port)", "--broker",
                "mqtts://127.0.0.1:\(brokerPort)", "--boot", "mqtts://127.0.0.1:\(bootPort)",
                // What the machine's own manager is told is no business of this one's.
                "--config", "",
            ] + (Capabilities.mayChangeUsers ? [] : ["--local-without-isolation"]), log: directory.file("manager.log"))
        try await broker.run {
            try await manager.run {
                let (server, token, trust) = try await serverFile()
                try await withClient(server: server, token: token, trust: trust) { client in
                    try await ready(client)
                    do {
                        try await body(client, brokerPort)
                    } catch {
                        await releaseAll(client)
                        throw (error as? ClientError).map { Failure($0.description) } ?? error
                    }
                    await releaseAll(client)
                }
            }
        }
    }

    private func serverFile() async throws -> (server: String, token: String, trust: String?) {
        let path = directory.file("server.json")
        for _ in 0..<300 {
            if let bytes = FileManager.default.contents(atPath: path),
                let file = try? JSONDecoder().decode([String: String].self, from: bytes), let server = file["server"],
                let token = file["token"]
            {
                return (server, token, file["trust"])
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw Failure("the manager did not start listening within 15 s; see \(directory.file("manager.log"))")
    }

    private func ready(_ client: TrunklineClient) async throws {
        for _ in 0..<300 {
            if (try? await client.isReady()) == true { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw Failure("the manager did not reach the broker within 15 s; see \(directory.file("manager.log"))")
    }

    /// In a task of its own: the one around it may be cancelled already.
    private func releaseAll(_ client: TrunklineClient) async {
        await Task {
            guard let groups = try? await client.allGroups(), !groups.isEmpty else { return }
            Note.line("releasing machines …")
            for group in groups { try? await client.removeGroup(group.name, force: true) }
            for _ in 0..<300 {
                guard let machines = try? await client.allMachines(group: nil), !machines.isEmpty else { return }
                try? await Task.sleep(for: .milliseconds(100))
            }
        }.value
    }
}

/// A child in a session of its own (a terminal's Ctrl-C does not reach it), ended when the work around which it runs ends.
struct ChildProcess: Sendable {
    let name: String
    let program: String
    let arguments: [String]
    let log: String

    private enum Outcome: Sendable {
        case ended(String)
        case done
    }

    func run(_ body: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Outcome.self) { group in
            group.addTask { .ended(try await child()) }
            group.addTask {
                try await body()
                return .done
            }
            defer { group.cancelAll() }
            if case .ended(let status) = try await group.next() {
                let tail = (FileManager.default.contents(atPath: log) ?? Data()).suffix(2000)
                throw Failure("\(name) ended by itself (\(status)):\n\(String(decoding: tail, as: UTF8.self))")
            }
        }
    }

    private func child() async throws -> String {
        let output = try FileDescriptor.open(
            FilePath(log), .writeOnly, options: [.create, .append], permissions: [.ownerReadWrite])
        var options = PlatformOptions()
        options.createSession = true
        options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(15))]
        let result = try await Subprocess.run(
            .path(FilePath(program)), arguments: Arguments(arguments), platformOptions: options,
            output: .fileDescriptor(output, closeAfterSpawningProcess: false),
            error: .fileDescriptor(output, closeAfterSpawningProcess: true))
        return "\(result.terminationStatus)"
    }
}

/// Where `dev` keeps everything.
struct DevDirectory: Sendable {
    let path: String
    private let isTemporary: Bool

    init(home: String, given: String?) throws {
        for needed in ["Config/software", "mosquitto/start.sh"] {
            guard FileManager.default.fileExists(atPath: "\(home)/\(needed)") else {
                throw Failure(
                    "\(home)/\(needed) is not there; run this in a checkout of Trunkline, or name one with --home")
            }
        }
        if let given {
            path = Programs.absolute(given)
            isTemporary = false
        } else {
            path = "\(home)/.run/\(getpid())"
            isTemporary = true
            Self.removeAbandoned(in: "\(home)/.run")
        }
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw Failure("\(path) can't be made: \(error.localizedDescription)")
        }
    }

    /// A run that was killed could not end what it had started.
    private static func removeAbandoned(in runs: String) {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: runs)) ?? [] {
            guard let pid = Int32(name), kill(pid, 0) != 0, errno == ESRCH else { continue }
            Leftovers.end(below: "\(runs)/\(name)")
            try? FileManager.default.removeItem(atPath: "\(runs)/\(name)")
        }
    }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Short where it is below the working directory.
    var shown: String {
        let here = FileManager.default.currentDirectoryPath + "/"
        return path.hasPrefix(here) ? String(path.dropFirst(here.count)) : path
    }

    func remove() {
        if isTemporary { try? FileManager.default.removeItem(atPath: path) }
    }
}

/// The last resort after an orderly end: what was started below the directory and still runs.
enum Leftovers {
    static func end(below directory: String) {
        // Somebody's `tail -f` below the directory is not ours: only what our own programs look like.
        let marks: [(file: String, text: String)] = [
            ("environ", "TRUNKLINE_RELEASE=\(directory)/machines/"),
            ("cmdline", "\0--state\0\(directory)/machines/"),
            // Its brokers go with it.
            ("cmdline", "/mosquitto/start.sh\0\(directory)/mosquitto\0"),
            ("cmdline", "\0serve\0--data\0\(directory)\0"),
        ]
        let machines = (try? FileManager.default.contentsOfDirectory(atPath: "\(directory)/machines")) ?? []
        for state in machines.map({ "\(directory)/machines/\($0)/state" }) {
            guard let user = SoftwareUsers().user(of: state) else { continue }
            for pid in ProcessTable.processes(of: user) { kill(pid, SIGKILL) }
            SoftwareUsers().giveUp(of: state)
        }
        for entry in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let pid = Int32(entry), pid != getpid() else { continue }
            let isOurs = marks.contains { mark in
                FileManager.default.contents(atPath: "/proc/\(entry)/\(mark.file)")?.range(of: Data(mark.text.utf8))
                    != nil
            }
            if isOurs { kill(pid, SIGKILL) }
        }
    }
}
