import Foundation
import Sealing
import Synchronization

/// Registrations that came and are not decided yet. Who waits for an answer says the same bytes again, later and later: while the first are in
/// hand each repetition would cost what they cost, and use up what the ticket's other holders may have opened.
final class RegistrationsInHand: Sendable {
    /// Its registration is in hand for as long as this lives, whatever becomes of it.
    final class Hold: Sendable {
        /// SHA-256 of its bytes, hex.
        let digest: String
        private let all: RegistrationsInHand

        fileprivate init(_ digest: String, in all: RegistrationsInHand) {
            self.digest = digest
            self.all = all
        }

        deinit { all.digests.withLock { _ = $0.remove(digest) } }
    }

    /// Bounded by what may wait in the lanes and the mailbox.
    private let digests = Mutex<Set<String>>([])

    /// Nil where the same bytes are in hand: by bytes, since a stranger may use every name.
    func take(_ payload: Data) -> Hold? {
        let digest = BundleDigest.hex(of: payload)
        return digests.withLock { $0.insert(digest).inserted } ? Hold(digest, in: self) : nil
    }
}
