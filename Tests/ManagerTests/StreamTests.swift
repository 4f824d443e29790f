import AsyncHTTPClient
import Fleet
import Foundation
import HummingbirdTesting
import HTTPTypes
import NIOCore
import Testing

@testable import Client
@testable import Manager
import TestSupport

@Suite("Event streams")
struct StreamTests {
    @Test("A stream has the past first and then what happens, without a gap, and does not hold up the manager's end")
    func pastThenLive() async throws {
        try await Site.with { site in
            for name in ["a", "b", "c"] { try await site.control.setSecret(name, to: "x", by: Site.user) }
            try await site.rest(.live) { ask in
                let port = try #require(ask.client.port)
                try await withClient(server: "http://127.0.0.1:\(port)", token: site.token) { client in
                    var ids: [Int64] = []
                    for try await event in client.eventStream(group: nil, machine: nil, after: 0) {
                        ids.append(event.id)
                        if ids.count >= 3, ids.count < 6 {
                            try await site.control.setSecret("d", to: "\(ids.count)", by: Site.user)
                        }
                        if ids.count == 6 { break }
                    }
                    #expect(ids == [1, 2, 3, 4, 5, 6])
                }
            }
        }
    }

    @Test("Last-Event-ID goes before after, and each event carries its id")
    func lastEventID() async throws {
        try await Site.with { site in
            for name in ["a", "b", "c"] { try await site.control.setSecret(name, to: "x", by: Site.user) }
            try await site.rest(.live) { ask in
                let port = try #require(ask.client.port)
                let answer = try await Wire.exchange(
                    port,
                    "GET /v1/events?after=0 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(site.token)\r\nAccept: text/event-stream\r\nLast-Event-ID: 2\r\n\r\n"
                )
                #expect(answer.contains("text/event-stream"))
                #expect(answer.contains("id: 3\nevent: secret.set\ndata: {"))
                #expect(!answer.contains("id: 2\n") && !answer.contains("id: 1\n"))
            }
        }
    }

    @Test("The parser finds the same events wherever the bytes are cut, with every kind of line end", arguments: 0..<50)
    func parser(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let pieces = ["{\"a\":1}", "", " x", "ü:ß", ":", "\u{301}é", "long long long"]
        var expected: [EventParser.Event] = []
        var text = ""
        // One kind in a text: a line that ends with CR before an empty one that ends with LF reads as one end.
        let end = ["\n", "\r\n", "\r"].randomElement(using: &generator) ?? "\n"
        for number in 0..<20 {
            if Bool.random(using: &generator) { text += ": a comment" + end }
            var event = EventParser.Event(id: nil, data: "")
            if Bool.random(using: &generator) {
                event.id = "\(number)"
                text += "id:\(Bool.random(using: &generator) ? " " : "")\(number)" + end
            }
            text += "event: word" + end
            let lines = (0...Int.random(in: 0...2, using: &generator)).map { _ in
                pieces.randomElement(using: &generator) ?? ""
            }
            for line in lines { text += "data: \(line)" + end }
            event.data = lines.joined(separator: "\n")
            text += end
            expected.append(event)
        }
        // A line end that is itself cut: CR, then LF, must not count twice.
        text += "\n"
        var bytes = Array(text.utf8)[...]
        var parser = EventParser()
        var found: [EventParser.Event] = []
        while !bytes.isEmpty {
            let count = Int.random(in: 1...min(9, bytes.count), using: &generator)
            found += parser.take(ByteBuffer(bytes: bytes.prefix(count)))
            bytes = bytes.dropFirst(count)
        }
        #expect(found == expected)
    }
}

extension Site {
    static let user = Caller(name: "tester", address: "127.0.0.1")
}
