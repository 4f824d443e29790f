import Fleet
import Foundation
import Logging
import Platforms
import Testing
import TestSupport

@Suite("A group's platform is found by its record, and nothing outside of the directory of drivers is ever run")
struct PlatformsTests {
    private func platforms(_ workspace: Workspace, drivers: String?) throws -> Platforms {
        Platforms(
            local: try workspace.local(standIn: "failing"), drivers: drivers,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    private func error(_ platforms: Platforms, _ platform: Fleet.Platform) async throws -> PlatformError {
        try await failure { () throws(PlatformError) in _ = try platforms.platform(for: platform) }
    }

    @Test("The same name is the same platform")
    func same() async throws {
        try await withWorkspace { workspace in
            try workspace.script("drivers/cloud", "#!/bin/sh")
            let platforms = try platforms(workspace, drivers: workspace.drivers)
            let first = try platforms.platform(for: .exec("cloud")) as? ExecPlatform
            let second = try platforms.platform(for: .exec("cloud")) as? ExecPlatform
            #expect(first != nil && first === second)
            #expect(try platforms.platform(for: .local) is LocalPlatform)
            await platforms.close()
        }
    }

    @Test("What is no driver is refused with a reason")
    func refused() async throws {
        try await withWorkspace { workspace in
            try workspace.script("outside", "#!/bin/sh")
            try workspace.script("drivers/plain", "#!/bin/sh")
            try workspace.script("drivers-too/cloud", "#!/bin/sh")
            let files = FileManager.default
            try files.setAttributes([.posixPermissions: 0o644], ofItemAtPath: workspace.drivers + "/plain")
            try files.createDirectory(atPath: workspace.drivers + "/folder", withIntermediateDirectories: true)
            try files.createSymbolicLink(
                atPath: workspace.drivers + "/link", withDestinationPath: workspace.root + "/outside")
            try files.createSymbolicLink(
                atPath: workspace.drivers + "/near", withDestinationPath: workspace.root + "/drivers-too/cloud")
            let platforms = try platforms(workspace, drivers: workspace.drivers)
            let directory = workspace.drivers
            #expect(
                try await error(platforms, .exec("absent"))
                    == PlatformError(.unknown, "There is no driver absent in \(directory)."))
            #expect(
                try await error(platforms, .exec("plain"))
                    == PlatformError(.invalid, "The driver \(directory)/plain is not an executable file; chmod +x it."))
            #expect(try await error(platforms, .exec("folder")).code == .invalid)
            for name in ["link", "near"] {
                #expect(
                    try await error(platforms, .exec(name))
                        == PlatformError(.invalid, "The driver \(name) is a link to a file outside of \(directory)."))
            }
            for name in ["../outside", "..", ".", "", "/bin/sh", "a/../../outside", "Cloud"] {
                #expect(try await error(platforms, .exec(name)).code == .invalid, "\(name)")
            }
            #expect(try await error(platforms, .none).code == .unknown)
            await platforms.close()

            let without = try self.platforms(workspace, drivers: nil)
            #expect(
                try await error(without, .exec("cloud"))
                    == PlatformError(
                        .unknown, "There is no driver cloud: the manager was started without a directory of drivers."))
            await without.close()
        }
    }

    @Test("The events of all platforms come in one stream, which ends with close")
    func events() async throws {
        try await withWorkspace { workspace in
            try workspace.script(
                "drivers/cloud",
                """
                #!/bin/sh
                read -r request
                echo '{"id":1,"ok":true,"machines":[]}'
                echo '{"event":"gone","machine":"cloud-1","reason":"switched off"}'
                read -r request
                """)
            let platforms = try platforms(workspace, drivers: workspace.drivers)
            _ = try await platforms.platform(for: .exec("cloud")).list()
            try await platforms.platform(for: .local).launch(request("edge-1"))
            var machines: Set<String> = []
            for _ in 0..<2 {
                if case .gone(let machine, _, _) = try await nextEvent(of: platforms.events) {
                    machines.insert(machine)
                }
            }
            #expect(machines == ["cloud-1", "edge-1"])
            await platforms.close()
            #expect(await platforms.events.first { _ in true } == nil)
        }
    }
}
