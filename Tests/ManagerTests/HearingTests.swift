import Fleet
import Foundation
import HTTPTypes
import HummingbirdTesting
import Messaging
import Monitor
import PaperFleet
import Synchronization
import TestSupport
import Testing

@testable import Manager

@Suite("Whether the manager can hear") struct HearingTests {
    private final class Told: Sendable {
        let words = Mutex<[String]>([])
        var hearing: Hearing {
            Hearing { [self] event in
                switch event {
                case .deaf(let reason): words.withLock { $0.append("deaf: \(reason)") }
                case .hearing: words.withLock { $0.append("hearing") }
                default: words.withLock { $0.append("\(event)") }
                }
            }
        }
    }

    @Test("It begins deaf; each change is told once, and it hears when nothing is in the way any more")
    func changes() {
        let told = Told()
        let hearing = told.hearing
        #expect(hearing.deafness?.reason == "not connected with the broker yet")
        hearing.lost(.subscription, "refused")
        hearing.regained(.connection)
        #expect(told.words.withLock { $0 }.isEmpty)
        hearing.regained(.subscription)
        hearing.regained(.subscription)
        #expect(hearing.deafness == nil)
        #expect(hearing.lost(.lag, "behind") == true)
        #expect(hearing.lost(.connection, "gone") == false)
        #expect(hearing.deafness?.reason == "gone", "the worst is said")
        hearing.regained(.connection)
        hearing.regained(.lag)
        #expect(told.words.withLock { $0 } == ["hearing", "deaf: behind", "hearing"])
    }

    @Test("Statuses that waited too long make it deaf before they are handled, until the intake is up to date")
    func lag() async throws {
        try await Site.with { (site) async throws in
            site.control.hearing.regained(.connection)
            await site.control.drain()
            let old = Status(
                group: "g", machine: "g-1", session: 1, sequence: 1, at: .now, state: .running)
            site.control.mailbox.put(.status(old), since: .now - .seconds(10))
            #expect(await site.control.handleBurst())
            #expect(await site.control.monitor.deafness?.reason.contains("10s behind") == true)
            await site.control.drain()
            #expect(await site.control.monitor.deafness == nil && site.control.hearing.deafness == nil)
        }
    }

    @Test("A real broker: deaf before it is there and while it is away, and ready in between")
    func broker() async throws {
        let broker = try await Broker.start()
        let port = broker.port
        try await Site.with(broker: "mqtt://127.0.0.1:\(port)") { (site) async throws in
            let link = BrokerLink(
                connection: site.connection, control: site.control, intake: site.intake, logger: site.api.logger)
            #expect(await site.control.notReady()?.contains("no connection with the broker") == true)
            async let connected: Void = site.connection.run()
            async let linked: Void = link.run()
            #expect(try await eventually { await site.control.notReady() == nil })
            await broker.stop()
            #expect(
                try await eventually {
                    await site.control.notReady()?.contains("no connection with the broker") == true
                })
            await site.connection.close()
            await connected
            await linked
        }
        await broker.cleanUp()
    }
}
