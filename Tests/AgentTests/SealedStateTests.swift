import Foundation
import Sealing
import Testing

@testable import Agent

@Suite("Files with secrets")
struct SealedStateTests {
    @Test("open with the machine's own key only, under their own name only, and show nothing")
    func sealed() throws {
        try with { state, key in
            try state.saveSecret(["KEY": "s3cret"], to: .order, under: key)
            let bytes = try #require(FileManager.default.contents(atPath: state.file(.order)))
            #expect(bytes.range(of: Data("s3cret".utf8)) == nil)
            #expect(try state.secretValue([String: String].self, from: .order, under: key) == ["KEY": "s3cret"])
            #expect(throws: AgentError.self) {
                try state.secretValue([String: String].self, from: .order, under: SecurityKey())
            }
            try bytes.write(to: URL(filePath: state.file(.plan)))
            #expect(throws: AgentError.self) { try state.secretValue([String: String].self, from: .plan, under: key) }
            #expect(try state.secretValue([String: String].self, from: .process, under: key) == nil)
        }
    }

    @Test("that an earlier version kept in the clear are read, and sealed when they are next saved; garbage is refused")
    func earlier() throws {
        try with { state, key in
            try state.save(["KEY": "s3cret"], to: .order)
            let read = try #require(try state.secretValue([String: String].self, from: .order, under: key))
            try state.saveSecret(read, to: .order, under: key)
            let bytes = try #require(FileManager.default.contents(atPath: state.file(.order)))
            #expect(bytes.range(of: Data("s3cret".utf8)) == nil)
            try state.write(Data("{\"sealed\": \"AAAA\"}".utf8), to: .order)
            #expect(throws: AgentError.self) { try state.secretValue([String: Int].self, from: .order, under: key) }
        }
    }

    private func with(_ body: (StateDirectory, SecurityKey) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "state-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(try StateDirectory(at: path), SecurityKey())
    }
}
