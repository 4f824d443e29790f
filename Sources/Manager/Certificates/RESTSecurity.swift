import Certificates
import Fleet
import Foundation
import Logging
import NIOCore
import NIOHTTP2
import NIOSSL

/// TLS of the REST API: a certificate of an authority that signs nothing else, or the user's.
enum RESTSecurity {
    static func configuration(
        _ configuration: ManagerConfiguration, issuer: CertificateIssuer, logger: Logger
    ) throws -> TLSConfiguration {
        let (certificate, key) = try identity(configuration, issuer: issuer, logger: logger)
        do {
            var tls = TLSConfiguration.makeServerConfiguration(
                certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(certificate.utf8)).map { .certificate($0) },
                privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(key.utf8), format: .pem)))
            tls.minimumTLSVersion = .tlsv12
            // A client that does not say good-bye must not keep the manager from ending.
            tls.shutdownTimeout = .milliseconds(500)
            tls.applicationProtocols = NIOHTTP2SupportedALPNProtocols
            // Says now, rather than at the first connection, that they do not go together.
            _ = try NIOSSLContext(configuration: tls)
            return tls
        } catch {
            let files = configuration.serverCertificate.map { " (\($0.certificate) with the key \($0.key))" } ?? ""
            throw StartError(
                "the REST API can't use its certificate\(files): it needs both in PEM, and the certificate's own key: \(error)"
            )
        }
    }

    private static func identity(
        _ configuration: ManagerConfiguration, issuer: CertificateIssuer, logger: Logger
    ) throws -> (certificate: String, key: String) {
        guard let given = configuration.serverCertificate else {
            let names = Set([configuration.host, "localhost", "127.0.0.1", "::1"] + configuration.serverNames)
            return try issuer.serverIdentity(names: names.filter { $0 != "0.0.0.0" && $0 != "::" }.sorted())
        }
        func read(_ path: String) throws -> String {
            do { return try String(contentsOfFile: path, encoding: .utf8) } catch {
                throw StartError("\(path) can't be read: \(error.localizedDescription)")
            }
        }
        let certificate = try read(given.certificate)
        if let own = try? TransportCertificate(pem: certificate), issuer.isTrustedByMachines(own) {
            logger.warning(
                "the REST API's certificate is of the authority that machines trust, so that it passes for a broker's of the same name; give it one of another authority",
                metadata: ["certificate": "\(given.certificate)"])
        }
        return (certificate, try read(given.key))
    }
}
