import Fleet
import Foundation
import HTTPTypes
import HummingbirdTesting
import Monitor
import Synchronization
import Testing

@testable import Manager

@Suite("Windows of maintenance")
struct WindowTests {
    private static func instant(_ text: String) throws -> Timestamp {
        let formatter = ISO8601DateFormatter()
        let date = try #require(formatter.date(from: text))
        return Timestamp(milliseconds: Int64(date.timeIntervalSince1970 * 1000))
    }

    /// All changes within two days, as the calendar says them one after the other, in UTC.
    private static func changes(_ from: String, _ to: String, in zone: String = "Europe/Paris", after begin: String)
        throws
        -> [String]
    {
        func minutes(_ text: String) throws -> Int {
            let parts = text.split(separator: ":").compactMap { Int($0) }
            return try #require(parts.first) * 60 + #require(parts.last)
        }
        let window = Window(from: try minutes(from), to: try minutes(to), zone: zone)
        var calendar = WindowCalendar()
        var now = try instant(begin)
        let end = now + .hours(48)
        var found: [String] = []
        func state(_ at: Timestamp) throws -> (isOpen: Bool, changes: Timestamp) {
            let state = calendar.state(of: window, at: at)
            return try #require(state)
        }
        var last = try state(now)
        while last.changes < end {
            now = last.changes
            let next = try state(now)
            // A moment before it is still as it was.
            let before = try state(now - .milliseconds(1))
            #expect(before.isOpen == last.isOpen && before.changes == now)
            #expect(next.isOpen != last.isOpen, "\(now)")
            found.append("\(now.description.prefix(16)) \(next.isOpen ? "opens" : "closes")")
            last = next
        }
        return found
    }

    @Test("open and close by the clocks of their place")
    func plain() throws {
        #expect(
            try Self.changes("01:00", "05:00", after: "2026-07-01T12:00:00Z") == [
                "2026-07-01T23:00 opens", "2026-07-02T03:00 closes", "2026-07-02T23:00 opens",
                "2026-07-03T03:00 closes",
            ])
        #expect(
            try Self.changes("22:00", "02:00", in: "UTC", after: "2026-07-01T23:00:00Z") == [
                "2026-07-02T02:00 closes", "2026-07-02T22:00 opens", "2026-07-03T02:00 closes",
                "2026-07-03T22:00 opens",
            ])
        #expect(
            try Self.changes("00:00", "00:30", in: "Asia/Kathmandu", after: "2026-07-01T12:00:00Z").first
                == "2026-07-01T18:15 opens")
    }

    @Test("at 02:30 that does not exist: one that begins there opens as the clocks go on, one within is no window")
    func forward() throws {
        // On 2026-03-29 the clocks go from 02:00 to 03:00, which is 01:00 UTC.
        #expect(
            try Self.changes("02:30", "04:00", after: "2026-03-28T12:00:00Z") == [
                "2026-03-29T01:00 opens", "2026-03-29T02:00 closes", "2026-03-30T00:30 opens",
                "2026-03-30T02:00 closes",
            ])
        #expect(
            try Self.changes("01:00", "02:30", after: "2026-03-28T12:00:00Z") == [
                "2026-03-29T00:00 opens", "2026-03-29T01:00 closes", "2026-03-29T23:00 opens",
                "2026-03-30T00:30 closes",
            ])
        #expect(
            try Self.changes("02:10", "02:50", after: "2026-03-28T12:00:00Z") == [
                "2026-03-30T00:10 opens", "2026-03-30T00:50 closes",
            ])
    }

    @Test("at 02:30 twice: opens and closes once, at the first of them")
    func backward() throws {
        // On 2026-10-25 the clocks go from 03:00 back to 02:00, which is 01:00 UTC.
        #expect(
            try Self.changes("02:30", "04:00", after: "2026-10-24T12:00:00Z") == [
                "2026-10-25T00:30 opens", "2026-10-25T03:00 closes", "2026-10-26T01:30 opens",
                "2026-10-26T03:00 closes",
            ])
        #expect(
            try Self.changes("01:00", "02:30", after: "2026-10-24T12:00:00Z") == [
                "2026-10-24T23:00 opens", "2026-10-25T00:30 closes", "2026-10-26T00:00 opens",
                "2026-10-26T01:30 closes",
            ])
        #expect(
            try Self.changes("02:10", "02:50", after: "2026-10-24T12:00:00Z") == [
                "2026-10-25T00:10 opens", "2026-10-25T00:50 closes", "2026-10-26T01:10 opens",
                "2026-10-26T01:50 closes",
            ])
    }

    @Test(
        "that nobody knows are refused; what is open is told with the record, and again when the wall clock is stepped")
    func told() async throws {
        let wall = HandWall(try Self.instant("2026-07-01T12:00:00Z"))
        try await Site.with(clock: ManagerClock(wall: { wall.now }, sinceBoot: { Timestamp.now.milliseconds })) {
            site in
            try await site.rest { ask in
                _ = try await ask.push(try site.bundle())
                func record(_ zone: String) -> String {
                    Site.record().dropLast()
                        + "  rule \"tell\" { when between 01:00 and 05:00 in \"\(zone)\" then notify(\"x\") }\n}\n"
                }
                let refused = try await ask(.post, "/v1/groups", record("Europe/Den"))
                #expect(refused.status == 422 && refused.body.contains("Europe/Den"))
                #expect(try await ask(.post, "/v1/groups", record("Europe/Paris")).status == 201)
                #expect(await site.control.monitor.windowStates.values.map { $0 } == [false])
                wall.set(try Self.instant("2026-07-02T00:00:00Z"))
                site.control.mailbox.put(.windows)
                await site.control.drain()
                #expect(await site.control.monitor.windowStates.values.map { $0 } == [true])
                #expect(try await ask(.put, "/v1/groups/test", Site.record()).status == 200)
                #expect(await site.control.monitor.windowStates.isEmpty)
            }
        }
    }
}

/// A wall clock that is set by hand.
private final class HandWall: Sendable {
    private let value: Mutex<Timestamp>
    init(_ now: Timestamp) { value = Mutex(now) }
    var now: Timestamp { value.withLock { $0 } }
    func set(_ now: Timestamp) { value.withLock { $0 = now } }
}
