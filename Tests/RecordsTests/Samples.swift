import Fleet
import Foundation
import Records

/// One of everything that is kept; also what the checked-in fixture holds.
enum Samples {
    static let at = Timestamp(milliseconds: 1_795_413_600_123)

    static let manifest = SoftwareManifest(
        name: "kamailio", version: "5.6.3", service: "voice", run: ["./start.sh", "-ü"],
        environment: ["SIP_PORT": "5060"], stop: .init(signal: "INT", timeout: .seconds(3)),
        health: .init(exec: ["./healthy.sh"]), metrics: .init(exec: ["./metrics.sh"]),
        drain: .init(exec: ["./drain.sh"]))

    static func group(_ name: String = "edge") -> GroupRow {
        GroupRow(
            name: name, text: "group \"\(name)\" {\n  # ünïcode\n}\n", revision: 2, digest: "d1", manifest: manifest,
            run: .running, paused: true, nextSerial: 4, keyPublic: Data([1, 2, 0, 3]),
            keySealed: Data(repeating: 7, count: 60),
            created: at, changed: at + .seconds(5), changedBy: "user admin")
    }

    static func revision(_ number: Int, of group: String = "edge") -> RevisionRow {
        RevisionRow(
            group: group, revision: number, text: "text \(number)", digest: "d\(number)",
            manifest: number == 1 ? manifest : nil, by: "user admin", at: at)
    }

    static let software = SoftwareRow(
        name: "kamailio", version: "5.6.3", service: "voice", digest: "d1", size: 3_000_000_000, manifest: manifest,
        pushed: at)

    static func machine(_ id: String = "edge-1", group: String = "edge") -> MachineRecord {
        var machine = MachineRecord(
            MachineRecord.Identity(
                id: id, group: group, index: 0, platform: .exec("cloud"), fingerprint: "0123456789abcdef"),
            phase: .joined, judged: MachineRecord.Judged(phaseSince: at))
        machine.wanted.order = Order(
            generation: 3, action: .run, software: SoftwareReference(name: "kamailio", version: "5.6.3"), digest: "d1",
            environment: ["SIP_PORT": .plain("5060"), "KEY": .secret("sip-key")])
        machine.reported.facts = MachineFacts(
            host: "höst", os: "Debian 12", arch: "x86_64", cores: 2, memory: 25_769_803_776)
        machine.reported.status = Status(
            group: group, machine: id, session: 2, sequence: 9, at: at, state: .running, order: 3,
            software: RunningSoftware(
                name: "kamailio", version: "5.6.3", digest: "d1", generation: 3, health: .passing, since: at,
                restarts: 1),
            receiving: Receiving(digest: "d2", have: PartRanges(upTo: 5)), metrics: ["calls": 3.25],
            reason: "rolled back")
        machine.reported.session = 2
        machine.reported.heardAt = at + .seconds(1)
        machine.judged.awaySince = at + .seconds(2)
        machine.judged.wellSince = at + .seconds(3)
        machine.judged.verified = true
        machine.judged.held = ["replace the lost": at]
        return machine
    }

    /// A machine of which nothing is known yet.
    static func launching(_ id: String = "edge-2", group: String = "edge") -> MachineRecord {
        MachineRecord(id: id, group: group, index: 1, platform: .local, phase: .launching, phaseSince: at)
    }

    static let key = MachineKeyRow(
        machine: "edge-1", publicKey: Data(repeating: 5, count: 32), fingerprint: "0123456789abcdef",
        statusKeySealed: Data([9, 8]), registrationDigest: "abc", groupKey: Data([1, 2, 0, 3]))

    static let ticket = TicketRow(
        id: "t1", group: "edge", machine: nil, secretSealed: Data([4]), uses: 2, used: 1, expires: at + .hours(1),
        groupKey: Data([1, 2, 0, 3]))

    static let token = TokenRow(name: "admin", hash: "feed", role: .admin, created: at, lastUsed: at + .seconds(1))

    static let answer = IdempotentAnswerRow(
        key: "k", caller: "admin", request: "POST /v1/groups", status: 201, headers: ["ETag": "\"1\""], body: "{}",
        at: at)

    static func event(_ kind: EventEntry.Kind = .groupCreated, machine: String? = nil, at: Timestamp = at) -> EventEntry
    {
        EventEntry(
            at: at, group: "edge", machine: machine, kind: kind, actor: "user admin", message: "It happened, ja.",
            facts: ["rule": "grow", "index": "0"])
    }

    static func addKey(_ key: MachineKeyRow = key) -> Records.Change {
        .machineKey(
            machine: key.machine, publicKey: key.publicKey, fingerprint: key.fingerprint,
            statusKeySealed: key.statusKeySealed, registrationDigest: key.registrationDigest,
            groupKey: key.groupKey)
    }

    static func addTicket(_ ticket: TicketRow = ticket) -> Records.Change {
        .ticket(
            id: ticket.id, group: ticket.group, machine: ticket.machine, secretSealed: ticket.secretSealed,
            uses: ticket.uses, expires: ticket.expires, groupKey: ticket.groupKey)
    }

    /// In an order in which children come before their parents, as a burst may have it.
    static let everything: [Records.Change] = [
        addKey(), addTicket(), .useTicket(ticket: "t1", machine: "edge-1"), .saveMachine(machine()),
        .saveMachine(launching()), .revision(revision(1)), .revision(revision(2)), .saveGroup(group()),
        .software(software), .contentKey(group: "edge", digest: "d1", machine: nil, sealed: Data([1])),
        .contentKey(group: "edge", digest: "d1", machine: "edge-1", sealed: Data([2])),
        .secret(name: "sip-key", sealed: Data([3]), at: at), .token(token), .idempotentAnswer(answer),
        .revokeKey(fingerprint: "beef", machine: "edge-0", at: at), .event(event()),
        .event(event(.ruleActed, machine: "edge-1")),
    ]
}
