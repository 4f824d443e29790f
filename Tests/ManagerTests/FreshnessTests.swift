import Certificates
import Fleet
import Foundation
import Logging
import TestSupport
import Testing

@testable import Manager

@Suite("What the broker is given")
struct FreshnessTests {
    @Test("It gets a new certificate and a new list of revocations in each period, as long as the manager runs")
    func renewed() async throws {
        try await Site.with(secure: true) { site in
            let issuer = try #require(await site.control.issuer)
            let directory = site.configuration.brokerDirectory
            func certificate() throws -> TransportCertificate {
                try TransportCertificate(pem: try String(contentsOfFile: directory + "/broker.pem", encoding: .utf8))
            }
            let revocations = try RevocationPublisher(
                issuer: issuer, brokers: try BrokerLink.addresses(site.configuration), logger: site.api.logger,
                period: .milliseconds(100))
            let keeping = Task { await revocations.keepFresh() }
            var serials: Set<String> = []
            var lists: Set<Data> = []
            let renewed = try await eventually {
                serials.insert(try certificate().serial)
                lists.insert(try Data(contentsOf: URL(filePath: directory + "/crl.pem")))
                return serials.count > 2 && lists.count > 2
            }
            keeping.cancel()
            await keeping.value
            #expect(renewed, "\(serials.count) certificates, \(lists.count) lists")
        }
    }
}
