import Fleet
import Foundation
import OperatingSystem

/// Where notifications go, and how patiently.
package struct WebhookSettings: Hashable, Sendable {
    /// `https`, or `http` on this machine.
    package var url: String
    /// Under which what is sent is signed.
    var secret: Data
    /// For an answer.
    var timeout = TimeSpan.seconds(10)
    var patience = NotificationPatience()

    init(url: String, secret: Data) {
        self.url = url
        self.secret = secret
    }

    /// - Parameter secretFile: at least 16 bytes, for its owner's eyes only; one final line end is left off.
    package init(url: String, secretFile: String) throws {
        guard let parts = URLComponents(string: url), let host = parts.host, !host.isEmpty, parts.fragment == nil,
            parts.user == nil, parts.password == nil, let scheme = parts.scheme?.lowercased(),
            ["http", "https"].contains(scheme)
        else {
            throw StartError(
                "--webhook takes an address such as https://pager.example.net/trunkline, without a name or password")
        }
        guard scheme == "https" || ["localhost", "127.0.0.1", "[::1]", "::1"].contains(host) else {
            throw StartError(
                "--webhook sends to https only, or to this machine: on the way to \(host) everybody would read it")
        }
        guard let status = FileStatus(following: secretFile),
            let bytes = FileManager.default.contents(atPath: secretFile)
        else {
            throw StartError(
                "the webhook's secret can't be read from \(secretFile): \(String(cString: strerror(errno)))")
        }
        guard status.permissions & 0o077 == 0 else {
            throw StartError("\(secretFile) can be read by others; give it to its owner alone: chmod 600 \(secretFile)")
        }
        let secret = bytes.last == 10 ? bytes.dropLast() : bytes
        guard secret.count >= 16 else {
            throw StartError(
                "the webhook's secret in \(secretFile) has less than 16 bytes; make one with: openssl rand -hex 32")
        }
        self.init(url: url, secret: Data(secret))
    }
}
