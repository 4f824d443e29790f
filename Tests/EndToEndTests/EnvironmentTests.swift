import Client
import Foundation
import TestSupport
import Testing

@Suite("What the manager leaves to others", .serialized)
struct EnvironmentTests {
    @Test("The master key that it was given in its environment is in nobody's: neither its own nor its machines'")
    func masterKey() async throws {
        let key = Data((0..<32).map { UInt8($0 &* 7 &+ 1) }).base64EncodedString()
        try await Installation.with(prepare: { $0.setEnvironment(["TRUNKLINE_MASTER_KEY": key]) }) {
            installation, client in
            try await installation.push(files: Installation.script("soft"), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1", count: 1))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            #expect(!FileManager.default.fileExists(atPath: installation.data + "/master.key"), "it was used")
            let agent = try #require(Processes.agent(of: "test-1", in: installation))
            let software = try #require(Processes.software(of: "test-1", in: installation).first)
            for pid in [installation.managerPid, agent, software] {
                let environment = try #require(FileManager.default.contents(atPath: "/proc/\(pid)/environ"))
                #expect(!environment.isEmpty && environment.range(of: Data(key.utf8)) == nil, "process \(pid)")
            }
        }
    }
}
