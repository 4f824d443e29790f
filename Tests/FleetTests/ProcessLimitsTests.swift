import Fleet
import Foundation
import Testing

@Suite("What Linux passes to a program")
struct ProcessLimitsTests {
    private func letters(_ count: Int) -> String { String(repeating: "x", count: count) }

    @Test("The limits of one string are the kernel's own")
    func oneString() throws {
        let program = "/bin/true"
        for (count, starts) in [(ProcessLimits.longestValue(of: "NAME"), true), (131_067, false)] {
            let environment = ["NAME": letters(count)]
            #expect((ProcessLimits.fault(of: environment, arguments: []) == nil) == starts, "\(count)")
            #expect(Self.starts(program, [], environment) == starts, "\(count)")
        }
        for (count, starts) in [(131_071, true), (131_072, false)] {
            #expect((ProcessLimits.fault(of: [:], arguments: [letters(count)]) == nil) == starts, "\(count)")
            #expect(Self.starts(program, [letters(count)], [:]) == starts, "\(count)")
        }
    }

    @Test("All strings together may have 1 MiB, which every Linux starts")
    func together() throws {
        let most = Dictionary(uniqueKeysWithValues: (0..<10).map { ("V\($0)", letters(104_000)) })
        #expect(ProcessLimits.fault(of: most, arguments: ["a"]) == nil)
        #expect(Self.starts("/bin/true", ["a"], most))
        let fault = ProcessLimits.fault(of: most, arguments: [letters(10_000)])
        #expect(fault == "environment and arguments have 1054225 bytes, and Linux passes at most 1048576")
    }

    @Test("What is wrong is said with sizes")
    func words() {
        #expect(
            ProcessLimits.fault(of: ["A": "x", "BIG": letters(200_000)], arguments: [])
                == "the variable BIG has 200000 bytes, and Linux passes at most 131067")
        #expect(
            ProcessLimits.fault(of: [:], arguments: ["a", letters(200_000)])
                == "an argument has 200000 bytes, and Linux passes at most 131071")
    }

    private static func starts(_ program: String, _ arguments: [String], _ environment: [String: String]) -> Bool {
        let process = Process()
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        process.environment = environment
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}
