import Fleet
import Foundation
import HTTPTypes
import HummingbirdTesting
import NIOCore
import TestSupport
import Testing

@testable import Manager

#if canImport(Glibc)
    import Glibc
#endif

@Suite("Requests that drip, and costly ones at once")
struct PaceTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test("A byte every 15 s ends within a minute; a body that comes does not, however long it is")
    func rate() {
        var drip = Pace(AccessLimits())
        drip.begins(at: start)
        var now = start
        var seconds: Int64 = 0
        while (drip.rest(at: now) ?? .zero) > .zero, seconds < 3600 {
            drip.came(1, at: now)
            drip.waits(at: now)
            seconds += 15
            now = start + .seconds(seconds)
        }
        #expect(seconds <= 60)

        var upload = Pace(AccessLimits())
        upload.begins(at: start)
        for second in 0..<36_000 as Range<Int64> {
            now = start + .seconds(second)
            upload.came(2000, at: now)
            upload.waits(at: now)
        }
        #expect((upload.rest(at: now) ?? .zero) > .zero)
    }

    @Test("The time in which the manager does not read is not the other side's")
    func backPressure() {
        var pace = Pace(AccessLimits())
        pace.begins(at: start)
        pace.came(10, at: start + .seconds(1))
        #expect((pace.rest(at: start + .hours(5)) ?? .zero) > .seconds(28))
        pace.waits(at: start + .hours(5))
        #expect((pace.rest(at: start + .hours(5) + .seconds(40)) ?? .seconds(1)) <= .zero)
    }

    @Test("What comes after the answer has its own short time; between requests there is no pace")
    func lingering() {
        var pace = Pace(AccessLimits())
        #expect(pace.rest(at: start) == nil)
        pace.begins(at: start)
        pace.answered(at: start + .seconds(1))
        for second in 1...20 as ClosedRange<Int64> { pace.came(1_000_000, at: start + .seconds(second)) }
        #expect((pace.rest(at: start + .seconds(5)) ?? .zero) == .seconds(6))
        #expect((pace.rest(at: start + .seconds(20)) ?? .seconds(1)) <= .zero)
        pace.ended()
        pace.answered(at: start + .seconds(21))
        #expect(pace.rest(at: start + .hours(1)) == nil)
    }

    /// Whether the other side ends the connection while a byte is sent now and then, for as long as a busy machine may need.
    private func endsWhileDripping(_ beginning: String, on port: Int) async throws -> Bool {
        let descriptor = try TCP.connect(to: port)
        defer { close(descriptor) }
        Wire.send(descriptor, beginning)
        return try await eventually {
            Wire.send(descriptor, "x")
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            return count == 0 || count < 0 && errno != EAGAIN
        }
    }

    @Test("On a real connection: a dripping body, with a token, after a 401, and for a path that takes none")
    func connections() async throws {
        let limits = AccessLimits(grace: .milliseconds(300), bytesPerSecond: 1_000_000, linger: .milliseconds(300))
        try await Site.serving(limits) { port, site in
            let length = "Host: x\r\nContent-Length: 1000000\r\nContent-Type: text/plain\r\n\r\n"
            for beginning in [
                "POST /v1/plan HTTP/1.1\r\nAuthorization: Bearer \(site.token)\r\n\(length)",
                "PUT /v1/software/a/1 HTTP/1.1\r\nAuthorization: Bearer \(site.token)\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n",
                "POST /v1/plan HTTP/1.1\r\n\(length)", "GET /healthz HTTP/1.1\r\n\(length)",
                "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nPOST /v1/plan HTTP/1.1\r\n\(length)",
            ] {
                #expect(try await endsWhileDripping(beginning, on: port), "\(beginning)")
            }
            #expect(site.uploads.isEmpty)
            let after = try await Wire.exchange(port, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            #expect(after.hasPrefix("HTTP/1.1 200"))
        }
    }

    @Test("Odd Transfer-Encoding is 400, and nothing names the program to strangers")
    func oddCoding() async throws {
        try await Site.serving(AccessLimits()) { port, site in
            for coding in [
                "gzip", "gzip, chunked", "chunked, chunked", "identity", "chunked, gzip", "xchunked", "chunked;q=1",
            ] {
                for method in ["POST /v1/plan", "PUT /v1/software/a/1", "GET /healthz"] {
                    let answer = try await Wire.exchange(
                        port,
                        "\(method) HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(site.token)\r\nConnection: close\r\nTransfer-Encoding: \(coding)\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
                    )
                    #expect(answer.hasPrefix("HTTP/1.1 400"), "\(method) \(coding): \(answer.prefix(60))")
                    #expect(!answer.lowercased().contains("server:") && !answer.contains("trunkline/"))
                }
            }
            let broken = try await Wire.exchange(
                port,
                "POST /v1/plan HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(site.token)\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello"
            )
            #expect(broken.hasPrefix("HTTP/1.1 400"), "\(broken.prefix(60))")
        }
    }

    @Test("One token has some costly calls at once and no more, all together some more; one that ends makes room")
    func slots() async throws {
        let slots = Slots(ofOne: 2, inAll: 3)
        func refusal(_ token: String) async -> Int? {
            do {
                try await slots.with(token, "calls") {}
                return nil
            } catch { return (error as? Turned)?.problem.status }
        }
        try await slots.with("a", "calls") {
            #expect(await refusal("a") == nil)
            try await slots.with("a", "calls") {
                #expect(await refusal("a") == 429)
                #expect(await refusal("b") == nil)
                try await slots.with("b", "calls") {
                    #expect(await refusal("c") == 503)
                }
            }
            #expect(await refusal("a") == nil)
        }
    }

    @Test("Uploads above the bound are told when to come again, before any of their bytes is read")
    func uploads() async throws {
        try await Site.serving(AccessLimits(uploads: (ofOne: 1, inAll: 1))) { port, site in
            let head =
                "PUT /v1/software/a/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(site.token)\r\nContent-Length: 100000\r\n"
            let descriptor = try TCP.connect(to: port)
            defer { close(descriptor) }
            Wire.send(descriptor, head + "\r\nbegins")
            #expect(try await eventually { site.uploads.count == 1 })
            let second = try await Wire.exchange(port, head + "Connection: close\r\n\r\n")
            #expect(second.hasPrefix("HTTP/1.1 429") && second.lowercased().contains("retry-after: 1"))
            #expect(site.uploads.count == 1)
        }
    }

    @Test("Strangers learn whether it is ready and nothing else; whoever has a token is told why not")
    func readiness() async throws {
        try await Site.with { site in
            await site.control.set(connected: false)
            try await site.rest { ask in
                let told = try await ask(.get, "/readyz")
                #expect(told.status == 503 && told.body.contains("broker"))
                let stranger = try await ask(.get, "/readyz", nil, ["Authorization": ""])
                let detail = try stranger.problem().detail
                #expect(stranger.status == 503 && detail == "Not ready.")
                #expect(try await ask(.get, "/readyz", nil, ["Authorization": "Bearer wrong"]).status == 401)
            }
        }
    }
}
