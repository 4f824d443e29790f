import FoundationEssentials
import Sealing

/// Files that hold the secrets of the software: what lies on the disk is sealed, so that they are nowhere in the clear but in
/// the child's environment.
extension StateDirectory {
    private struct SealedFile: Codable {
        var sealed: Data
    }

    func saveSecret(_ value: some Encodable, to file: File, under key: SecurityKey) throws(AgentError) {
        do {
            let content = try JSONEncoder().encode(value)
            let sealed = try StateSeal(of: key).seal(content, for: file.rawValue)
            try save(SealedFile(sealed: sealed), to: file)
        } catch let error as AgentError {
            throw error
        } catch {
            throw AgentError(.state, "\(self.file(file)) cannot be sealed: \(error)")
        }
    }

    /// Nil when there is no such file. One that an earlier version kept in the clear is read as it is, and sealed when it is next
    /// saved.
    func secretValue<Value: Decodable>(
        _ type: Value.Type = Value.self, from file: File, under key: SecurityKey
    ) throws(AgentError) -> Value? {
        guard let content = try read(file) else { return nil }
        do {
            guard let kept = try? JSONDecoder().decode(SealedFile.self, from: content) else {
                return try JSONDecoder().decode(type, from: content)
            }
            return try JSONDecoder().decode(
                type, from: try StateSeal(of: key).open(kept.sealed, for: file.rawValue))
        } catch {
            throw AgentError(.state, "\(self.file(file)) is damaged: \(error)")
        }
    }
}
