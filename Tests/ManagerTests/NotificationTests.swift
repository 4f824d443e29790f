import Fleet
import Foundation
import Logging
import Records
import Synchronization
import TestSupport
import Testing

@testable import Manager

/// By programs of an operator's: what they do stands in real scripts, what they were given in files beside them.
@Suite("Notifications by program and mail")
struct NotificationTests {
    private static let patience = {
        var patience = NotificationPatience()
        patience.firstPause = .milliseconds(10)
        patience.longestPause = .milliseconds(50)
        return patience
    }()

    /// A directory with a program in it.
    private struct Desk {
        let directory: URL
        var program: String { directory.appending(path: "program").path }

        init(_ script: String, in site: Site, mode: Int = 0o755) throws {
            directory = URL(filePath: site.configuration.path("desk"))
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            try Data("#!/bin/sh\ncd '\(directory.path)'\n\(script)\n".utf8).write(to: URL(filePath: program))
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: program)
        }

        func lines(_ name: String) -> [String] {
            let text = try? String(contentsOf: directory.appending(path: name), encoding: .utf8)
            return (text ?? "").split(separator: "\n").map(String.init)
        }
        func touch(_ name: String) throws { try Data().write(to: directory.appending(path: name)) }
    }

    private static func channel(_ desk: Desk, timeout: TimeSpan = .seconds(30)) throws -> NotificationProgram {
        var channel = try NotificationProgram(path: desk.program, timeout: timeout)
        channel.patience = patience
        return channel
    }

    private static func dead(_ site: Site) throws -> [EventEntry] {
        try site.control.records.events(after: 0, limit: 1000).filter { $0.kind == .notificationDead }
    }

    @Test("a program gets each event as JSON on its input and in its environment, in order, whatever stands in it")
    func program() async throws {
        try await Site.with { site in
            let desk = try Desk(
                """
                cat >> bodies
                printf '%s|%s|%s|%s|%s\\n' "$TRUNKLINE_KIND" "$TRUNKLINE_GROUP" "$TRUNKLINE_MACHINE" \\
                    "$TRUNKLINE_ACTOR" "$TRUNKLINE_MESSAGE" >> variables
                """, in: site)
            let strange = "three $(touch forged) `touch forged` \"; touch forged; é"
            try await site.notifying(try Self.channel(desk)) {
                try site.notify(["one", "two"])
                try site.notify([strange])
                #expect(try await eventually { desk.lines("variables").count == 3 })
            }
            #expect(
                desk.lines("variables") == ["one", "two", strange].map { "rule.notified|edge||rule tell|\($0)" })
            let events = try desk.lines("bodies").map { try JSONDecoder().decode(EventEntry.self, from: Data($0.utf8)) }
            #expect(events.map(\.message) == ["one", "two", strange])
            #expect(!FileManager.default.fileExists(atPath: desk.directory.appending(path: "forged").path))
        }
    }

    @Test("a program that fails is tried again until it takes it; that is said once, and counted")
    func fails() async throws {
        try await Site.with { site in
            let desk = try Desk(
                "echo try >> tries; [ -e works ] || { echo 'no line to the pager' >&2; exit 1; }; cat >> bodies",
                in: site)
            let said = Said()
            try await site.notifying(try Self.channel(desk), logger: said.logger) {
                try site.notify(["one", "two"])
                #expect(try await eventually { desk.lines("tries").count >= 4 })
                #expect(said.warnings.count == 1)
                #expect(said.warnings.first?.contains("no line to the pager") == true)
                let metrics = await site.control.metricsText(within: nil)
                #expect(!metrics.contains("trunkline_notifications_failing_seconds{by=\"exec\"} 0\n"))
                #expect(!metrics.contains("trunkline_notifications_failures_total{by=\"exec\"} 0\n"))
                try desk.touch("works")
                #expect(
                    try await eventually {
                        await site.control.metricsText(within: nil).contains(
                            "trunkline_notifications_delivered_total{by=\"exec\"} 2\n")
                    })
            }
            #expect(desk.lines("bodies").count == 2)
            #expect(try Self.dead(site).isEmpty)
        }
    }

    @Test("what a program calls wrong (65) is given up after some tries, with an event, and holds up nothing else")
    func refused() async throws {
        try await Site.with { site in
            let desk = try Desk(
                "echo try >> tries; case $TRUNKLINE_MESSAGE in bad) echo 'who is that?' >&2; exit 65;; esac; cat >> bodies",
                in: site)
            try await site.notifying(try Self.channel(desk)) {
                try site.notify(["bad", "good"])
                #expect(try await eventually { desk.lines("bodies").count == 1 })
            }
            #expect(desk.lines("tries").count == 6)
            #expect(try Self.dead(site).map { $0.message.contains("who is that?") } == [true])
        }
    }

    @Test("a program that does not end is ended when its time is up, with all that it started")
    func hangs() async throws {
        try await Site.with { site in
            let desk = try Desk(
                """
                [ -e works ] && { cat >> bodies; exit 0; }
                exec 2>&-
                trap '' TERM
                (trap '' TERM; while :; do sleep 1; done) &
                echo $! >> children
                wait
                """, in: site)
            try await site.notifying(try Self.channel(desk, timeout: .milliseconds(200))) {
                try site.notify(["one"])
                #expect(try await eventually { desk.lines("children").count >= 2 })
                try desk.touch("works")
                #expect(try await eventually { desk.lines("bodies").count == 1 })
            }
            for child in desk.lines("children") {
                let id = try #require(pid_t(child))
                #expect(try await eventually { kill(id, 0) != 0 })
            }
        }
    }

    @Test("a program that reads nothing, and one that says more than it should, are no trouble")
    func deafAndLoud() async throws {
        try await Site.with { site in
            let deaf = try Desk("exec <&-; exit 0", in: site)
            let input = Data(repeating: 65, count: 1 << 20)
            #expect(await (try HelperProgram(path: deaf.program, flag: "")).run(input) == .exited(0, ""))
            let loud = try Desk("yes | head -c 1000000; yes | head -c 1000000 >&2; exit 3", in: site)
            guard case .exited(3, let words) = await (try HelperProgram(path: loud.program, flag: "")).run(input) else {
                Issue.record("it did not end with 3")
                return
            }
            #expect(words.utf8.count <= 300 && words.hasPrefix("y y y"))
        }
    }

    @Test("a mail is given to sendmail -t; what comes within the pause goes with the next one")
    func mail() async throws {
        try await Site.with { site in
            let desk = try Desk(
                "echo \"$*\" >> arguments; cat > mail.$$; mv mail.$$ \"sent.$(wc -l < arguments)\"", in: site)
            var settings = try MailSettings(
                to: ["night@example.net", "root"], from: "fleet@example.net", sendmail: desk.program)
            settings.pause = .seconds(3)
            settings.patience = Self.patience
            try await site.notifying(Mail(settings: settings)) {
                try site.notify(["one"])
                #expect(try await eventually { !desk.lines("sent.1").isEmpty })
                try site.notify(["two"])
                try site.notify(["three é"])
                #expect(try await eventually { !desk.lines("sent.2").isEmpty })
                #expect(
                    try await eventually {
                        await site.control.metricsText(within: nil).contains(
                            "trunkline_notifications_delivered_total{by=\"mail\"} 3\n")
                    })
            }
            #expect(desk.lines("arguments") == Array(repeating: "-i -t -f fleet@example.net", count: 2))
            let first = desk.lines("sent.1")
            #expect(
                first.prefix(3) == [
                    "From: fleet@example.net", "To: night@example.net, root", "Subject: [trunkline] edge: one",
                ])
            #expect(desk.lines("sent.2").contains("Subject: [trunkline] 2 notifications of edge"))
            let body = try #require(Self.body(desk.lines("sent.2")))
            #expect(body.contains("two\n") && body.contains("three é\n") && !body.contains("one\n"))
        }
    }

    private static func body(_ lines: [String]) -> String? {
        guard let last = lines.lastIndex(where: { $0.contains(": ") }) else { return nil }
        return Data(base64Encoded: lines[(last + 1)...].joined()).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test("nothing that a machine says becomes a header, a receiver or an end of the mail")
    func forgery() throws {
        var event = EventEntry(
            at: Timestamp(milliseconds: 0), group: "edge", kind: .ruleNotified, actor: "a", message: "m")
        // Past what the initializer cleans.
        event.message =
            "x\r\nBcc: thief@example.net\r\n\r\n.\r\nmore =?utf-8?B?eA==?= é" + String(repeating: "ü", count: 400)
        event.facts = ["a\nBcc: b": "c\n.\nBcc: d"]
        event.actor = "rule\nBcc: e"
        for events in [[event], [event, event]] {
            let text = String(decoding: MailText(events, to: ["root"], from: nil).data, as: UTF8.self)
            let parts = try #require(text.firstRange(of: "\n\n"))
            let headers = text[..<parts.lowerBound].split(separator: "\n")
            let names = headers.filter { !$0.hasPrefix(" ") }.map { $0.prefix { $0 != ":" } }
            #expect(
                names == [
                    "To", "Subject", "Auto-Submitted", "Trunkline-Events", "MIME-Version", "Content-Type",
                    "Content-Transfer-Encoding",
                ])
            #expect(headers.allSatisfy { $0.utf8.count <= 100 && $0.utf8.allSatisfy { (0x20...0x7e).contains($0) } })
            let body = text[parts.upperBound...].split(separator: "\n")
            #expect(body.allSatisfy { $0.utf8.count <= 76 && !$0.contains(".") })
            let decoded = try #require(Data(base64Encoded: body.joined()))
            #expect(!String(decoding: decoded, as: UTF8.self).contains("\nBcc"))
        }
    }

    @Test("a subject in other letters can be read, also where it is long")
    func subject() throws {
        #expect(MailText.encoded("[trunkline] edge: plain") == "[trunkline] edge: plain")
        let text = "ü" + String(repeating: "aß", count: 60)
        let words = MailText.encoded(text).split(separator: "\n ")
        let decoded = try words.map { word in
            #expect(word.utf8.count <= 75)
            return String(
                decoding: try #require(Data(base64Encoded: String(word.dropFirst(10).dropLast(2)))), as: UTF8.self)
        }
        #expect(decoded.joined() == text)
    }

    @Test(
        "an address is one that no mail system takes for anything else",
        arguments: [
            ("night@example.net", true), ("root", true), ("a.b+c@d-e.example", true), ("", false), ("-f@x", false),
            ("a@b@c", false), ("a b@c", false), ("a@c\nBcc: d", false), ("|/bin/sh", false), ("a,b", false),
            ("A <a@b>", false), ("a@", false), ("@b", false), ("é@b", false),
            (String(repeating: "a", count: 255), false),
        ])
    func address(text: String, isOne: Bool) { #expect(MailAddress.isValid(text) == isOne) }

    @Test("a program that is not there, is none, or that others may write is refused at start")
    func programs() async throws {
        try await Site.with { site in
            let desk = try Desk("", in: site)
            #expect(throws: Never.self) { _ = try NotificationProgram(path: desk.program) }
            for path in [desk.program + "x", desk.directory.path] {
                #expect(throws: StartError.self) { _ = try NotificationProgram(path: path) }
            }
            for mode in [0o644, 0o775, 0o757] {
                let desk = try Desk("", in: site, mode: mode)
                #expect(throws: StartError.self) { _ = try NotificationProgram(path: desk.program) }
                #expect(throws: StartError.self) {
                    _ = try MailSettings(to: ["root"], from: nil, sendmail: desk.program)
                }
            }
        }
    }
}

/// What is said in the log from a warning on.
private final class Said: Sendable {
    private let lines = Mutex<[String]>([])
    var warnings: [String] { lines.withLock { $0 } }
    var logger: Logger { Logger(label: "test") { _ in Handler(said: self) } }

    private struct Handler: LogHandler {
        let said: Said
        var logLevel = Logger.Level.warning
        var metadata: Logger.Metadata = [:]
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            said.lines.withLock { $0.append("\(event.message) \(event.metadata ?? [:])") }
        }
    }
}
