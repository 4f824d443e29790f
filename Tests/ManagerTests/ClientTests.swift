import Fleet
import Foundation
import HummingbirdTesting
import HTTPTypes
import TestSupport
import Testing

@testable import Client
@testable import Manager

@Suite("The client")
struct ClientTests {
    private func failure(_ body: () async throws -> Void) async -> ClientError? {
        do {
            try await body()
            return nil
        } catch { return error as? ClientError }
    }

    @Test("It says in words that nobody listens, that the token is wrong, and what the checker found")
    func words() async throws {
        let nobody = try FreePort.next()
        let refused = await failure {
            try await withClient(server: "http://127.0.0.1:\(nobody)", token: "x") { _ = try await $0.allGroups() }
        }
        #expect(refused?.status == nil && refused?.description.contains("connection refused") == true)
        try await Site.with { site in
            try await site.rest(.live) { ask in
                let server = "http://127.0.0.1:\(try #require(ask.client.port))"
                let unauthorized = await failure {
                    try await withClient(server: server, token: "wrong") { _ = try await $0.allGroups() }
                }
                #expect(unauthorized?.status == 401 && unauthorized?.description.contains("--token") == true)
                let invalid = await failure {
                    try await withClient(server: server, token: site.token) { _ = try await $0.createGroup("group {") }
                }
                #expect(invalid?.status == 422 && invalid?.problem?.diagnostics?.isEmpty == false)
            }
        }
    }

    @Test("It reads every page, uploads from a file, and asks for each thing by its name")
    func pages() async throws {
        try await Site.with { site in
            let path = site.configuration.path("up.bundle")
            try site.bundle().write(to: URL(filePath: path))
            try await site.rest(.live) { ask in
                let server = "http://127.0.0.1:\(try #require(ask.client.port))"
                try await withClient(server: server, token: site.token) { client in
                    let reference = try #require(SoftwareReference("soft@1"))
                    #expect(try await client.pushSoftware(reference, bundleAt: path).name == "soft")
                    for number in 0..<3 { _ = try await client.createGroup(Site.record("g\(number)")) }
                    let groups: [GroupView] = try await client.all("/v1/groups")
                    #expect(groups.map(\.name) == ["g0", "g1", "g2"])
                    let page = try await client.events(group: nil, machine: nil, after: 0, limit: 2)
                    #expect(page.items.map(\.id) == [1, 2] && page.next == "2")
                    #expect(try await client.hasGroup("../groups") == false)
                    #expect(try await client.isReady() == false)
                }
            }
        }
    }

}
