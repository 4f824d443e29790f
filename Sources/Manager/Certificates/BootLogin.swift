import Crypto
import Foundation
import Messaging
import Sealing

/// By what the boot broker, which asks nobody for a certificate, knows the manager: a name, and a password that nobody can guess.
///
/// Made once, so that a broker elsewhere that is told of new certificates late still knows it.
struct BootLogin: Sendable {
    let login: TransportSecurity.Login

    /// Takes the one in this file, or makes it.
    static func open(_ file: String) throws -> BootLogin {
        if let text = try? String(contentsOfFile: file, encoding: .utf8), text.utf8.count == 64 {
            return BootLogin(password: text)
        }
        let made = BootLogin(password: BundleDigest.hex(of: RandomBytes.data(count: 32)))
        try PrivateFile.write(Data(made.login.password.utf8), to: file)
        return made
    }

    init(password: String) { login = .init(name: CertificateIssuer.managerName, password: password) }

    /// The line for Mosquitto's `password_file`: SHA-512, which is enough for 256 random bits. The same for the same password.
    var line: String {
        let password = Data(login.password.utf8)
        let salt = Data(SHA256.hash(data: Data("salt".utf8) + password).prefix(12))
        let hash = Data(SHA512.hash(data: password + salt))
        return "\(login.name):$6$\(salt.base64EncodedString())$\(hash.base64EncodedString())\n"
    }
}
