import Foundation
import Testing

@testable import Bundles

@Suite("What is seen of a program before it is run")
struct ProgramFileTests {
    @Test(
        "the fault of a file is named, and a good one has none",
        arguments: [
            ("#!/bin/sh\nexit 0\n", nil), ("#! /usr/bin/env -S python3 -u\nx\n", nil), ("\u{7f}ELF\u{2}", nil),
            ("#!/bin/sh", nil),
            ("#!/bin/sh\r\nexit 0\r\n", "CR LF"), ("#!\nexit 0\n", "no interpreter"), ("#! \t\n", "no interpreter"),
            ("exit 0\n", "neither a program nor a script"), ("", "neither a program nor a script"),
            ("\u{feff}#!/bin/sh\n", "neither a program nor a script"),
        ] as [(String, String?)])
    func faults(content: String, fault: String?) {
        let found = ProgramFile.fault(of: Array(content.utf8), isExecutable: true)
        #expect((found == nil) == (fault == nil))
        #expect(found?.contains(fault ?? "") ?? true)
        #expect(ProgramFile.fault(of: Array(content.utf8), isExecutable: false)?.contains("chmod +x") == true)
    }

    @Test("a script's interpreter is the first word behind its #!")
    func interpreter() {
        #expect(ProgramFile.interpreter(of: Array("#!/usr/bin/env -S python3\n".utf8)) == "/usr/bin/env")
        #expect(ProgramFile.interpreter(of: Array("#!\t./bin/python\t-u\n".utf8)) == "./bin/python")
        #expect(ProgramFile.interpreter(of: Array("\u{7f}ELF".utf8)) == nil)
    }

    @Test("of a real file: what is missing on this machine, and what would run in the directory")
    func files() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "programs-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        func write(_ name: String, _ content: String, mode: Int = 0o755) throws -> String {
            let path = directory + "/" + name
            try Data(content.utf8).write(to: URL(filePath: path))
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
            return path
        }
        let good = try write("good", "#!/bin/sh\n")
        let plain = try write("plain", "#!/bin/sh\n", mode: 0o644)
        let lost = try write("lost", "#!/no/such/interpreter -x\n")
        let own = try write("own", "#!good\n")
        #expect(ProgramFile.fault(ofFile: good) == nil)
        #expect(ProgramFile.missingInterpreter(ofFile: good, in: directory) == nil)
        #expect(ProgramFile.fault(ofFile: plain)?.contains("chmod +x") == true)
        #expect(ProgramFile.missingInterpreter(ofFile: lost, in: directory) == "/no/such/interpreter")
        #expect(ProgramFile.missingInterpreter(ofFile: own, in: directory) == nil)
        #expect(ProgramFile.missingInterpreter(ofFile: own, in: "/") == "good")
        #expect(ProgramFile.fault(ofFile: directory) == "is not a file")
        #expect(ProgramFile.fault(ofFile: directory + "/none") == "is not there")
    }
}
