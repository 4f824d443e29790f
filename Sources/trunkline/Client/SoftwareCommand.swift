import ArgumentParser
import Bundles
import Client
import Fleet
import Foundation
import GroupLanguage

/// `trunkline software …`
struct SoftwareCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "software", abstract: "Push, list and remove software bundles.",
        subcommands: [Push.self, List.self, Remove.self])

    struct Push: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Pack a directory that has a software.trunk and upload it.",
            discussion: "The same directory always gives the same bytes, so pushing it again changes nothing.")

        @Argument(help: ArgumentHelp("The bundle's directory.", valueName: "dir"))
        var directory: String
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let manifest = try manifest()
            let packed = FileManager.default.temporaryDirectory
                .appendingPathComponent("trunkline-\(UUID().uuidString).bundle").path
            defer { try? FileManager.default.removeItem(atPath: packed) }
            do { try BundleWriter.pack(directory: directory, to: packed) } catch {
                throw Failure("\(directory) can't be packed: \(error)")
            }
            try check(manifest, packed)
            let software = try await location.with { client in
                try await client.pushSoftware(manifest.reference, bundleAt: packed) { sent, total in
                    if Terminal.isError { progress(sent, total) }
                }
            }
            if Terminal.isError { Note.line("") }
            try output.show(
                software, name: "\(software.name)@\(software.version)",
                lines: [
                    ("software", "\(software.name)@\(software.version)"), ("service", software.service),
                    ("digest", software.digest), ("size", software.size.bytes),
                ])
        }

        private func manifest() throws -> SoftwareManifest {
            let path = "\(directory)/\(SoftwareManifest.fileName)"
            guard let bytes = FileManager.default.contents(atPath: path) else {
                throw Failure(
                    "\(path) is not there; a bundle's directory has one that says what it is and how it is run")
            }
            let text = String(decoding: bytes, as: UTF8.self)
            do { return try GroupLanguage.software(from: text) } catch {
                throw Failure(error.rendered(file: path, source: text))
            }
        }

        /// What a machine would stumble over, as far as it can be seen here.
        private func check(_ manifest: SoftwareManifest, _ packed: String) throws {
            let programs: BundledPrograms
            do { programs = try BundleReader.check(bundleAt: packed).programs } catch {
                throw Failure("\(directory): \(error)")
            }
            let faults = programs.faults(of: manifest)
            guard faults.isEmpty else { throw Failure(faults.map { "\(directory)/\($0)" }.joined(separator: "\n")) }
            for (program, use, interpreter) in programs.outerInterpreters(of: manifest)
            where access(interpreter, X_OK) != 0 {
                Note.line(
                    "\(program) (\(use)) needs the interpreter \(interpreter), which is not on this machine: those that run it need it"
                )
            }
        }

        private func progress(_ sent: Int, _ total: Int) {
            let percent = total == 0 ? 100 : sent * 100 / total
            Note.write("\r\(percent) % of \(total) bytes")
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the software that is there.")
        @OptionGroup var location: ManagerLocation
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let items = try await location.with { try await $0.allSoftware() }
            try output.list(
                items,
                columns: [
                    Column("software") { "\($0.name)@\($0.version)" }, Column("service", \.service),
                    Column("size", \.size.bytes), Column("digest") { String($0.digest.prefix(12)) },
                    Column("pushed") { $0.pushed.description },
                ], name: { "\($0.name)@\($0.version)" })
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rm", abstract: "Remove software that no group names.")
        @Argument(help: ArgumentHelp("Which.", valueName: "name@version"), completion: .software)
        var reference: SoftwareReference
        @OptionGroup var confirmation: Confirmation
        @OptionGroup var location: ManagerLocation

        func run() async throws {
            try await location.with { client in
                try await confirmation.require("Remove \(reference)") {
                    let software = try await client.software(reference)
                    return
                        "\(reference): \(software.size.bytes), pushed at \(software.pushed); only another push brings it back"
                }
                try await client.removeSoftware(reference)
            }
            Note.line("\(reference) removed")
        }
    }
}

extension SoftwareReference: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}
