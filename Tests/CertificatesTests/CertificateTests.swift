import Certificates
import Fleet
import Foundation
import Testing
import TestSupport

/// What OpenSSL, which the broker uses, makes of what we issue.
@Suite("Certificates")
struct CertificateTests {
    let now = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970) * 1000)

    @Test("a machine's certificate is for clients only, names the machine, and lasts as long as it is told")
    func machineCertificate() throws {
        let authority = try CertificateAuthority(life: .hours(24), at: now)
        let key = TransportKey()
        let request = try CertificateRequest(der: try key.request(named: "whatever"))
        let certificate = try authority.issue(
            to: "edge-1", for: .client, request: request, life: .hours(1), at: now)
        #expect(certificate.commonName == "edge-1")
        #expect(certificate.notAfter == now + .hours(1))
        #expect(certificate.issuer == authority.identifier)
        #expect(request.isFor(certificate))
        #expect(try TransportCertificate(pem: certificate.pem) == certificate)
        let kept = try TransportKey(pem: key.pem)
        #expect(try CertificateRequest(der: try kept.request(named: "x")).isFor(certificate))
        try withDirectory { directory in
            try directory.write("ca.pem", authority.pem)
            try directory.write("machine.pem", certificate.pem)
            #expect(try directory.verify("machine.pem", as: "sslclient") == 0)
            #expect(try directory.verify("machine.pem", as: "sslserver") != 0)
        }
    }

    @Test("a server's certificate names its hosts and addresses, and is no client's")
    func serverCertificate() throws {
        let authority = try CertificateAuthority(life: .hours(24), at: now)
        let certificate = try authority.issue(
            to: "broker", for: .server(names: ["broker.example.net", "127.0.0.1", "::1"]), key: TransportKey(),
            life: .hours(1), at: now)
        try withDirectory { directory in
            try directory.write("ca.pem", authority.pem)
            try directory.write("server.pem", certificate.pem)
            for (option, name, fits) in [
                ("-verify_hostname", "broker.example.net", true), ("-verify_hostname", "other.example.net", false),
                ("-verify_ip", "127.0.0.1", true), ("-verify_ip", "127.0.0.2", false), ("-verify_ip", "::1", true),
            ] {
                #expect(try (directory.verify("server.pem", as: "sslserver", option, name) == 0) == fits, "\(name)")
            }
            #expect(try directory.verify("server.pem", as: "sslclient") != 0)
        }
    }

    @Test("nothing outlives the authority that issued it")
    func lifeIsBounded() throws {
        let authority = try CertificateAuthority(life: .hours(1), at: now)
        let certificate = try authority.issue(to: "a", for: .client, key: TransportKey(), life: .hours(9), at: now)
        #expect(certificate.notAfter == authority.notAfter)
    }

    @Test("a revoked certificate is refused, the others are not, and a later list counts")
    func revocation() throws {
        let authority = try CertificateAuthority(life: .hours(24 * 365 * 30), at: now)
        let machines = try ["a", "b"].map {
            try authority.issue(to: $0, for: .client, key: TransportKey(), life: .hours(1), at: now)
        }
        try withDirectory { directory in
            try directory.write("ca.pem", authority.pem)
            for machine in machines { try directory.write("\(machine.commonName).pem", machine.pem) }
            try directory.write(
                "crl.pem", authority.revocationList([], number: 1, at: now - .seconds(60)))
            for machine in machines {
                #expect(try directory.verify("\(machine.commonName).pem", as: "sslclient", "-crl_check") == 0)
            }
            let revoked = CertificateAuthority.Revocation(serial: machines[0].serial, at: now)
            try directory.write(
                "crl.pem", authority.revocationList([revoked], number: 2, at: now - .seconds(59)))
            #expect(try directory.verify("a.pem", as: "sslclient", "-crl_check") != 0)
            #expect(try directory.verify("b.pem", as: "sslclient", "-crl_check") == 0)
        }
    }

    @Test("an authority that was kept issues as before; what is none is refused with its reason")
    func keptAuthority() throws {
        let authority = try CertificateAuthority(life: .hours(1), at: now)
        let kept = try CertificateAuthority(certificatePEM: authority.pem, keyPEM: authority.keyPEM)
        #expect(kept.identifier == authority.identifier)
        let other = try CertificateAuthority(life: .hours(1), at: now)
        #expect(throws: CertificateError("its key is not the certificate's")) {
            try CertificateAuthority(certificatePEM: authority.pem, keyPEM: other.keyPEM)
        }
        let key = TransportKey()
        let machine = try authority.issue(to: "edge-1", for: .client, key: key, life: .hours(1), at: now)
        #expect(throws: CertificateError("its certificate is not an authority's (basic constraints CA:TRUE)")) {
            try CertificateAuthority(certificatePEM: machine.pem, keyPEM: key.pem)
        }
    }

    @Test("a request that was changed, or is not one, is refused")
    func badRequests() throws {
        let request = try TransportKey().request(named: "edge-1")
        var generator = SeededGenerator(seed: 7)
        var refused = 0
        for _ in 0..<200 {
            var changed = request
            changed[Int.random(in: 0..<changed.count, using: &generator)] ^= UInt8.random(
                in: 1...255, using: &generator)
            if (try? CertificateRequest(der: changed)) == nil { refused += 1 }
        }
        #expect(refused == 200)
        #expect(throws: CertificateError.self) { try CertificateRequest(der: Data()) }
        #expect(throws: CertificateError.self) { try CertificateRequest(der: Data(count: 100_000)) }
    }
}

/// A directory for OpenSSL's command line.
private struct Directory {
    let url: URL

    func write(_ name: String, _ text: String) throws {
        try text.write(to: url.appending(path: name), atomically: true, encoding: .utf8)
    }

    /// `openssl verify`: 0 where the chain is good.
    func verify(_ name: String, as purpose: String, _ more: String...) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/openssl")
        process.currentDirectoryURL = url
        process.arguments = ["verify", "-x509_strict", "-CAfile", "ca.pem", "-purpose", purpose]
        if more.first == "-crl_check" { process.arguments? += ["-CRLfile", "crl.pem"] }
        process.arguments? += more + [name]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }
}

private func withDirectory(_ body: (Directory) throws -> Void) throws {
    let url = FileManager.default.temporaryDirectory.appending(path: "certificates-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: url) }
    try body(Directory(url: url))
}
