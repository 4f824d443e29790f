import Foundation
import Glibc
import Messaging
import Testing
import TestSupport

/// The repository's boot broker, and strangers who want to leave something there.
@Suite("A boot broker of its own")
struct BootBrokerTests {
    @Test("the known and the boot broker are two processes, and neither is root's")
    func processes() async throws {
        try await withSecureBroker { site in
            let pids = try Broker.Part.allCases.map { try #require(site.process.pid(of: $0)) }
            #expect(Set(pids).count == 2)
            for pid in pids {
                let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
                let users = try #require(status.split(separator: "\n").first { $0.hasPrefix("Uid:") })
                #expect(!users.split(separator: "\t").dropFirst().contains("0"), "\(users)")
            }
        }
    }

    @Test("each listens on its own port of loopback, and nowhere else")
    func listeners() async throws {
        try await withSecureBroker { site in
            #expect(site.process.listeners(of: .known) == ["127.0.0.1:\(site.broker.port)"])
            #expect(site.process.listeners(of: .boot) == ["127.0.0.1:\(site.boot.port)"])
        }
    }

    @Test(
        "a stranger leaves nothing: 40 messages of 1.9 MB, more than 8 KiB, and retained ones are refused or forgotten")
    func nothingStays() async throws {
        try await withSecureBroker { site in
            let before = try Self.files(of: site)
            let large = site.process.directory.appending(path: "large")
            for (size, count) in [(1_900_000, 40), (9_500, 1)] {
                try Data(repeating: 0x61, count: size).write(to: large)
                for index in 0..<count {
                    let ended = try site.stranger(
                        "mosquitto_pub", "-V", "mqttv311", "-q", "1", "-r", "-t", "trunkline/edge/register/m-\(index)",
                        "-f", large.path)
                    #expect(ended != 0, "\(size) bytes")
                }
            }
            try await site.managerAtBoot { manager in
                try await manager.connection.subscribe(["trunkline/+/register/+"], qos: .atLeastOnce)
                // Handed over, since without its "retained" it is a registration like any other; 8,193 bytes are acknowledged and dropped.
                for (size, isRetained) in [(8192, true), (8193, false), (1, false)] {
                    try await site.boot("boot-1") { stranger in
                        try? await stranger.connection.publish(
                            Message(
                                topic: "trunkline/edge/register/m-1", payload: Data(repeating: 0x62, count: size),
                                qos: .atLeastOnce, retained: isRetained))
                    }
                }
                #expect(try await eventually { manager.inbox.messages.last?.payload.count == 1 })
                #expect(!manager.inbox.messages.contains { $0.payload.count > 8192 || $0.retained })
            }
            try await site.managerAtBoot { manager in
                try await manager.connection.subscribe(["trunkline/+/register/+"], qos: .atLeastOnce)
                try await site.boot("boot-1") { stranger in
                    try await stranger.connection.publish(
                        Message(topic: "trunkline/edge/register/m-2", payload: Data("now".utf8), qos: .atLeastOnce))
                }
                #expect(try await eventually { !manager.inbox.messages.isEmpty })
                #expect(manager.inbox.messages.map(\.payload) == [Data("now".utf8)])
            }
            try FileManager.default.removeItem(at: large)
            #expect(try Self.files(of: site) == before)
        }
    }

    @Test("a stranger's last will reaches nobody but the manager, as his registration would")
    func wills() async throws {
        try await withSecureBroker { site in
            try await site.managerAtBoot { manager in
                try await manager.connection.subscribe(["trunkline/+/register/+"], qos: .atLeastOnce)
                try await site.boot("boot-victim") { victim in
                    try await victim.connection.subscribe(["trunkline/answers/boot-victim"], qos: .atLeastOnce)
                    // The second comes after the first, and is heard.
                    for topic in ["trunkline/answers/boot-victim", "trunkline/edge/register/m-1"] {
                        // What is not sent in time is the will: the program is killed.
                        _ = try site.stranger(
                            "mosquitto_sub", "-i", "boot-x", "-t", "trunkline/answers/boot-x", "--will-topic", topic,
                            "--will-payload", "will", "--will-qos", "1", killedAfterSubscribing: true)
                    }
                    #expect(try await eventually { !manager.inbox.messages.isEmpty })
                    try await manager.connection.publish(
                        Message(
                            topic: "trunkline/answers/boot-victim", payload: Data("answer".utf8), qos: .atLeastOnce))
                    #expect(try await eventually { !victim.inbox.messages.isEmpty })
                    #expect(victim.inbox.messages.map(\.payload) == [Data("answer".utf8)])
                }
            }
        }
    }

    @Test(
        "a crowd that leaves no room is sent away and who wants something gets in, while those with certificates notice nothing"
    )
    func crowd() async throws {
        try await withSecureBroker(files: 200) { site in
            try await site.with("edge/machines/edge-1") { machine in
                let known = try #require(site.process.pid(of: .known))
                let boot = try #require(site.process.pid(of: .boot))
                let crowd = try Crowd(at: site.boot.port, silent: 190, halfOpen: 0)
                defer { crowd.leave() }
                #expect(try await eventually { site.process.pid(of: .boot).map { $0 != boot } ?? false })
                #expect(crowd.present == 0)
                try await site.boot("boot-late") { late in #expect(late.connection.isConnected) }
                #expect(site.process.pid(of: .known) == known)
                #expect(machine.inbox.connects == 1 && machine.inbox.disconnects.isEmpty)
            }
        }
    }

    @Test(
        "nobody stays there for longer than a visit, ask as he may for no keep-alive; those with certificates notice nothing"
    )
    func visit() async throws {
        try await withSecureBroker(visit: 5) { site in
            try await site.with("edge/machines/edge-1") { machine in
                let known = try #require(site.process.pid(of: .known))
                let boot = try #require(site.process.pid(of: .boot))
                let crowd = try Crowd(
                    at: site.boot.port, silent: 0, halfOpen: 0, endless: 3,
                    trusting: site.process.certificates + "/trust.pem")
                defer { crowd.leave() }
                #expect(
                    try await eventually(within: .seconds(60)) {
                        site.process.pid(of: .boot).map { $0 != boot } ?? false
                    })
                #expect(kill(boot, 0) != 0 && errno == ESRCH, "its connections are gone with it")
                try await site.boot("boot-late") { late in #expect(late.connection.isConnected) }
                #expect(site.process.pid(of: .known) == known)
                #expect(machine.inbox.connects == 1 && machine.inbox.disconnects.isEmpty)
            }
        }
    }

    /// What lies in the boot broker's directory, and how large it is.
    private static func files(of site: SecureSite) throws -> [String: Int] {
        let directory = site.process.directory.appending(path: "boot").path
        return try FileManager.default.subpathsOfDirectory(atPath: directory).reduce(into: [:]) { sizes, name in
            let attributes = try FileManager.default.attributesOfItem(atPath: "\(directory)/\(name)")
            sizes[name] = attributes[.size] as? Int
        }
    }
}

extension SecureSite {
    /// Runs one of Mosquitto's own programs against the boot broker; its exit status.
    fileprivate func stranger(
        _ program: String, _ arguments: String..., killedAfterSubscribing: Bool = false
    ) throws -> Int32 {
        let process = Process()
        // Else what it says stays in its buffer.
        process.executableURL = URL(filePath: "/usr/bin/stdbuf")
        process.arguments =
            ["-oL", program, "-h", "127.0.0.1", "-p", "\(boot.port)"]
            + ["--cafile", self.process.certificates + "/trust.pem"] + arguments
            + (killedAfterSubscribing ? ["-d", "-W", "30"] : [])
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        if killedAfterSubscribing {
            var said = ""
            while !said.contains("SUBACK") {
                let more = output.fileHandleForReading.availableData
                guard !more.isEmpty else { throw MessagingError(.failed, "it does not subscribe: \(said)") }
                said += String(decoding: more, as: UTF8.self)
            }
            kill(process.processIdentifier, SIGKILL)
        }
        process.waitUntilExit()
        return process.terminationStatus
    }
}
