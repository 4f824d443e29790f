import Fleet
import Foundation
import Testing

@testable import Bundles

@Suite("What is seen of a bundle's programs before any machine runs them")
struct BundledProgramsTests {
    let workspace: Workspace

    init() throws {
        workspace = try Workspace()
        try workspace.write("source/software.trunk", Data("software".utf8))
        for (name, content, mode) in [
            ("start", "#!/bin/sh\n", 0o755), ("windows", "#!/bin/sh\r\n", 0o755), ("plain", "#!/bin/sh\n", 0o644),
            ("text", "exit 0\n", 0o755), ("bin/python", "\u{7f}ELF", 0o755), ("bin/lame", "\u{7f}ELF", 0o644),
            ("own", "#!bin/python -u\n", 0o755), ("linked", "#!./python\n", 0o755), ("lost", "#!bin/perl\n", 0o755),
            ("unable", "#!bin/lame\n", 0o755), ("outer", "#!/no/such/interpreter\n", 0o755),
            ("long", "#!/bin/sh\n" + String(repeating: "#", count: 300_000), 0o755),
        ] {
            try workspace.write("source/" + name, Data(content.utf8), mode: mode)
        }
        for (name, target) in [
            ("python", "bin/python"), ("round", "about"), ("about", "round"), ("scripts", "."), ("up", "bin"),
            ("none", "nowhere"),
        ] {
            try FileManager.default.createSymbolicLink(
                atPath: workspace.path + "/source/" + name, withDestinationPath: target)
        }
    }

    private func programs() throws -> BundledPrograms {
        try BundleWriter.pack(directory: workspace.path + "/source", to: workspace.path + "/bundle")
        return try BundleReader.check(bundleAt: workspace.path + "/bundle").programs
    }

    private func manifest(_ run: [String], health: [String]? = nil) -> SoftwareManifest {
        SoftwareManifest(
            name: "soft", version: "1", service: "voice", run: run,
            health: health.map { SoftwareManifest.HealthCheck(exec: $0) })
    }

    @Test("each fault is said with the program and its use, and what is good has none")
    func faults() throws {
        let programs = try programs()
        for (program, fault) in [
            ("./start", nil), ("./long", nil), ("./own", nil), ("./linked", nil), ("./python", nil),
            ("./scripts/bin/../start", nil), ("./up/../start", nil), ("./outer", nil),
            // The machine's own.
            ("kamailio", nil), ("/usr/sbin/kamailio", nil),
            ("./plain", "plain (run) is not executable (chmod +x)"),
            ("./windows", "windows (run) has lines that end with CR LF"),
            ("./text", "text (run) is neither a program nor a script"),
            ("./missing", "missing (run) is not there"), ("./bin", "bin (run) is not a file"),
            ("./up", "up (run) is not a file"), ("./scripts", "scripts (run) is not a file"),
            ("./round", "round (run) is not there"), ("./none", "none (run) is not there"),
            ("../start", "../start (run) is not there"),
            ("./lost", "lost (run) needs the interpreter bin/perl, which is not in the bundle"),
            ("./unable", "unable (run) needs the interpreter bin/lame, which is not executable"),
        ] as [(String, String?)] {
            let found = programs.faults(of: manifest([program]))
            #expect(found.count == (fault == nil ? 0 : 1), "\(program): \(found)")
            #expect(found.allSatisfy { $0.hasPrefix(fault ?? "") }, "\(program): \(found)")
        }
        #expect(programs.faults(of: manifest(["./plain"], health: ["./missing"])).count == 2)
    }

    @Test("interpreters outside of the bundle are named, its own are not")
    func interpreters() throws {
        let outer = try programs().outerInterpreters(of: manifest(["./outer"], health: ["./own"]))
        #expect(outer.map(\.interpreter) == ["/no/such/interpreter"] && outer.map(\.use) == ["run"])
    }
}
