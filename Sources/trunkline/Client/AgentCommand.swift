import ArgumentParser
import Bundles
import Client
import Fleet
import Foundation

/// `trunkline agent …`
struct AgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent", abstract: "Push agents for machines, and see which ones run.",
        discussion: """
            A group's record names the agent that its machines are to run (agent = "0.4.0"). Each of them receives it as it receives
            software, gives itself over to it without touching what runs, and takes itself back if it has not reported
            within a minute. Without that line each runs the agent that is installed there.
            """,
        subcommands: [Push.self, List.self])

    struct Push: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Upload a trunkline-agent for machines; needs an admin's token for all groups.")

        @Argument(help: ArgumentHelp("The program.", valueName: "file"))
        var file: String
        @Option(
            help: ArgumentHelp(
                "Its version, where the program does not run on this machine to say it.", valueName: "version"))
        var version: String?
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            if let fault = ProgramFile.fault(ofFile: file) { throw Failure("\(file) \(fault)") }
            guard let version = version ?? ownVersion() else {
                throw Failure(
                    "\(file) --version does not say \"\(SoftwareManifest.agentName) VERSION\" here; if it is for other machines, say which it is with --version"
                )
            }
            guard Name.isValidVersion(version) else { throw Failure("\(version) is not a version") }
            let directory = FileManager.default.temporaryDirectory.appendingPathComponent("agent-\(UUID().uuidString)")
            let packed = directory.path + ".bundle"
            defer {
                try? FileManager.default.removeItem(at: directory)
                try? FileManager.default.removeItem(atPath: packed)
            }
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            let program = directory.appendingPathComponent(SoftwareManifest.agentName)
            try FileManager.default.copyItem(at: URL(fileURLWithPath: file).resolvingSymlinksInPath(), to: program)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program.path)
            let manifest = """
                software "\(SoftwareManifest.agentName)" {
                  version = "\(version)"
                  service = agent
                  run     = ["./\(SoftwareManifest.agentName)"]
                }

                """
            try Data(manifest.utf8).write(to: directory.appendingPathComponent(SoftwareManifest.fileName))
            do { try BundleWriter.pack(directory: directory.path, to: packed) } catch {
                throw Failure("\(file) can't be packed: \(error)")
            }
            let reference = SoftwareReference(name: SoftwareManifest.agentName, version: version)
            let software = try await location.with {
                try await $0.pushSoftware(reference, bundleAt: packed) { _, _ in }
            }
            try output.show(
                software, name: software.version,
                lines: [
                    ("agent", software.version), ("digest", software.digest), ("size", "\(software.size) bytes"),
                    ("use", "agent = \"\(software.version)\" in a group's record"),
                ])
        }

        /// What the program says of itself.
        private func ownVersion() -> String? {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: file)
            process.arguments = ["--version"]
            let pipe = Pipe()
            process.standardOutput = pipe
            process.standardError = FileHandle.nullDevice
            process.standardInput = FileHandle.nullDevice
            guard (try? process.run()) != nil else { return nil }
            let said = (try? pipe.fileHandleForReading.readToEnd()) ?? Data()
            process.waitUntilExit()
            let words = String(decoding: said, as: UTF8.self).split(whereSeparator: \.isWhitespace)
            guard process.terminationStatus == 0, words.count == 2, words[0] == SoftwareManifest.agentName else {
                return nil
            }
            return String(words[1])
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List agents by version: which were pushed, and how many machines run each.")
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        /// One version.
        private struct Item: Codable {
            var version: String
            var machines: Int
            /// Nil: it was never pushed.
            var pushed: Timestamp?
            var digest: String?
        }

        func run() async throws {
            let (machines, software) = try await location.with {
                (try await $0.allMachines(group: nil), try await $0.allSoftware())
            }
            let pushed = Dictionary(
                software.filter { $0.name == SoftwareManifest.agentName }.map { ($0.version, $0) }
            ) { first, _ in first }
            let counts = Dictionary(grouping: machines.compactMap(\.agent)) { $0 }.mapValues(\.count)
            let items = Set(pushed.keys).union(counts.keys).sorted().map { version in
                Item(
                    version: version, machines: counts[version] ?? 0, pushed: pushed[version]?.pushed,
                    digest: pushed[version]?.digest)
            }
            try output.list(
                items,
                columns: [
                    Column("version") { $0.version.forPeople() }, Column("machines") { "\($0.machines)" },
                    Column("pushed") { $0.pushed?.description ?? "-" },
                    Column("digest") { $0.digest.map { String($0.prefix(12)) } ?? "-" },
                ], name: \.version)
        }
    }
}
