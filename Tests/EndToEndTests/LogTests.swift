import Client
import Fleet
import Foundation
import Messaging
import TestSupport
import Testing

@Suite("Machines' logs", .serialized)
struct LogTests {
    private static let start = """
        #!/bin/sh
        touch "$TRUNKLINE_RUN/well"
        trap 'exit 0' TERM
        echo "data $TRUNKLINE_DATA"
        echo "by another path" > /dev/stderr
        while :; do
            if test -e "$TRUNKLINE_DATA/say"; then cat "$TRUNKLINE_DATA/say"; rm "$TRUNKLINE_DATA/say"; fi
            sleep 0.1
        done
        """

    @Test(
        "What software says is shown as it comes, sealed on its way, and leaves the machine only while somebody reads")
    func logs() async throws {
        try await Installation.with { installation, client in
            try await installation.push(files: Installation.script("soft", start: Self.start), client)
            _ = try await client.createGroup(Installation.record(software: "soft@1", count: 1))
            _ = try await client.instruct(group: "test", .start)
            try await client.converged("test")
            let machine = try #require(try await client.allMachines(group: "test").first).id
            let topic = "trunkline/test/machines/\(machine)/log"
            try await Wiretap.with(installation) { tap in
                let shown = try installation.trunkline("machine", "logs", machine, "--tail", "2")
                #expect(shown.status == 0, "\(shown.error)")
                let lines = shown.output.split(separator: "\n").map { $0.split(separator: " ", maxSplits: 3) }
                let time = #/\d\d:\d\d:\d\d/#
                #expect(lines.count == 2 && lines.allSatisfy { $0.count == 4 && $0[0] == machine })
                #expect(lines.allSatisfy { (try? time.wholeMatch(in: $0[2])) != nil })
                let said = Dictionary(uniqueKeysWithValues: lines.map { (String($0[1]), String($0[3])) })
                #expect(said["stderr"] == "by another path")
                let data = try #require(said["stdout"]?.split(separator: " ").last).description
                #expect(try installation.trunkline("machine", "logs", machine, "--tail", "0").output == "")

                // The broker's operator sees that something was said, and nothing of it.
                let isSeen = try await eventually { !tap.messages(on: topic).isEmpty }
                #expect(isSeen)
                let sealed = try #require(tap.messages(on: topic).first)
                let header = try #require(
                    try JSONSerialization.jsonObject(with: sealed.payload) as? [String: Any])
                #expect(Set(header.keys) == ["v", "group", "machine", "session", "seq", "enc", "sealed"])
                #expect(!String(decoding: sealed.payload, as: UTF8.self).contains("another path") && !sealed.retained)

                let follow = Process()
                let file = installation.directory.appending(path: "follow")
                _ = FileManager.default.createFile(atPath: file.path, contents: nil)
                follow.executableURL = Installation.programs.appending(path: "trunkline")
                follow.arguments = [
                    "machine", "logs", machine, "-f", "--tail", "1", "--server", installation.server, "--token",
                    installation.token, "--trust", installation.trustFile,
                ]
                follow.standardOutput = try FileHandle(forWritingTo: file)
                try follow.run()
                defer { if follow.isRunning { follow.terminate() } }
                func followed() throws -> String { try String(contentsOf: file, encoding: .utf8) }
                #expect(try await eventually { try followed().contains("by another path") })
                try "first\n".write(toFile: data + "/say", atomically: true, encoding: .utf8)
                #expect(try await eventually { try followed().contains("stdout") && followed().contains(" first\n") })
                // What was said once is nothing new when somebody says it again.
                for message in tap.messages(on: topic) { try await tap.say(message.payload, on: topic) }
                try "second\n".write(toFile: data + "/say", atomically: true, encoding: .utf8)
                #expect(try await eventually { try followed().contains(" second\n") })
                #expect(try followed().split(separator: "\n").count == 3)

                follow.terminate()
                let agent = "\(installation.data)/machines/\(machine)/agent.log"
                func ends() throws -> Int {
                    try String(contentsOfFile: agent, encoding: .utf8).split(separator: "\n")
                        .count { $0.contains("nobody watches the log any more") }
                }
                #expect(try await eventually { try ends() == 3 })
                let count = tap.messages(on: topic).count
                try "third\n".write(toFile: data + "/say", atomically: true, encoding: .utf8)
                #expect(try await eventually { !FileManager.default.fileExists(atPath: data + "/say") })
                let later = try installation.trunkline("machine", "logs", machine, "--tail", "1")
                #expect(later.output.hasSuffix(" third\n"))
                // The one message is the answer to the last question.
                #expect(tap.messages(on: topic).count == count + 1)
                #expect(try await client.machine(machine).software?.restarts == 0)
            }
        }
    }
}
