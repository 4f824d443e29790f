import Foundation
import Sealing
import Testing

@testable import Agent

@Suite("The group's key, as a machine knows it")
struct GroupKeysTests {
    private struct Refused: Error {}

    private func withState(_ body: (StateDirectory) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "keys-\(UUID().uuidString.prefix(8))").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(try StateDirectory(at: path))
    }

    /// What the holder of `key` says.
    private func said(by key: SecurityKey.PublicKey, to keys: GroupKeys) throws -> (Data, isUnderCurrent: Bool) {
        try keys.open { candidate in
            guard candidate == key else { throw Refused() }
            return key.rawRepresentation
        }
    }

    @Test("is the ticket's until an order names another; both count until the first word under the new one")
    func change() throws {
        try withState { state in
            let (first, second, third) = (SecurityKey().publicKey, SecurityKey().publicKey, SecurityKey().publicKey)
            let keys = try GroupKeys(ticket: first, state: state)
            try keys.hear(first.rawRepresentation)
            #expect(keys.current == first)
            #expect(throws: Refused.self) { try said(by: second, to: keys) }
            try keys.hear(second.rawRepresentation)
            for keys in [keys, try GroupKeys(ticket: first, state: state)] {
                #expect(keys.current == second)
                #expect(try said(by: second, to: keys).isUnderCurrent)
                #expect(try !said(by: first, to: keys).isUnderCurrent)
            }
            try keys.hear(second.rawRepresentation)
            for keys in [keys, try GroupKeys(ticket: first, state: state)] {
                #expect(keys.current == second)
                #expect(throws: Refused.self) { try said(by: first, to: keys) }
            }
            try keys.hear(third.rawRepresentation)
            #expect(keys.current == third)
            #expect(try !said(by: second, to: keys).isUnderCurrent)
        }
    }

    @Test("is in a file that only its owner reads, and a damaged one is said and not guessed")
    func file() throws {
        try withState { state in
            let keys = try GroupKeys(ticket: SecurityKey().publicKey, state: state)
            try keys.hear(SecurityKey().publicKey.rawRepresentation)
            let attributes = try FileManager.default.attributesOfItem(atPath: state.file(.groupKeys))
            #expect(attributes[.posixPermissions] as? Int == 0o600)
            for damage in ["", "{}", "{\"current\":\"AAAA\"}"] {
                try state.write(Data(damage.utf8), to: .groupKeys)
                let error = #expect(throws: AgentError.self) { try GroupKeys(ticket: keys.current, state: state) }
                #expect(error?.code == .state)
            }
        }
    }

    @Test("is never one that keeps nothing secret")
    func weak() throws {
        try withState { state in
            let ticket = SecurityKey().publicKey
            let keys = try GroupKeys(ticket: ticket, state: state)
            #expect(throws: SealingError.self) { try keys.hear(Data(count: 32)) }
            #expect(throws: SealingError.self) { try keys.hear(Data(count: 31)) }
            #expect(keys.current == ticket)
        }
    }
}
