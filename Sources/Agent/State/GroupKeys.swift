import FoundationEssentials
import Sealing
import Synchronization

/// By which key this machine knows its group. The ticket names the first; orders tell of the next one.
///
/// The manager goes on under the old key until it has heard that the new one is known here, so both count until the first
/// word under the new one. What only the old key says never names another: an old order that is said again changes nothing.
final class GroupKeys: Sendable {
    private struct Keys: Sendable {
        var current: SecurityKey.PublicKey
        var previous: SecurityKey.PublicKey?
    }

    private struct Kept: Codable {
        var current: Data
        var previous: Data?
    }

    private let directory: StateDirectory
    private let keys: Mutex<Keys>

    /// - Parameter ticket: the key in the boot ticket, which counts until an order has told of another.
    init(ticket: SecurityKey.PublicKey, state directory: StateDirectory) throws(AgentError) {
        self.directory = directory
        guard let kept: Kept = try directory.value(from: .groupKeys) else {
            keys = Mutex(Keys(current: ticket))
            return
        }
        do {
            keys = Mutex(
                Keys(
                    current: try SecurityKey.PublicKey(rawRepresentation: kept.current),
                    previous: try kept.previous.map { try SecurityKey.PublicKey(rawRepresentation: $0) }))
        } catch {
            throw AgentError(.state, "\(directory.file(.groupKeys)) is damaged: \(error)")
        }
    }

    /// To it everything is sealed.
    var current: SecurityKey.PublicKey { keys.withLock { $0.current } }

    /// Opens what the group has sealed; throws what the current key's attempt threw.
    func open(
        _ body: (SecurityKey.PublicKey) throws -> Data
    ) throws -> (plaintext: Data, isUnderCurrent: Bool) {
        let keys = keys.withLock { $0 }
        do { return (try body(keys.current), true) } catch {
            guard let previous = keys.previous, let plaintext = try? body(previous) else { throw error }
            return (plaintext, false)
        }
    }

    /// What an order under the current key names as the group's key: a new one takes its place; the same one ends the old one.
    func hear(_ bytes: Data) throws {
        let key = try SecurityKey.PublicKey(rawRepresentation: bytes)
        let known = keys.withLock { $0 }
        let heard = key == known.current ? Keys(current: key) : Keys(current: key, previous: known.current)
        guard heard.current != known.current || heard.previous != known.previous else { return }
        // On disk first: the manager may hear of it from now on.
        try directory.save(
            Kept(current: heard.current.rawRepresentation, previous: heard.previous?.rawRepresentation), to: .groupKeys)
        keys.withLock { $0 = heard }
    }
}
