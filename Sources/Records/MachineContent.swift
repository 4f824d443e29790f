import Fleet

/// What of a machine stands in JSON: everything that no query asks for, the members of its parts in one object.
struct MachineContent: Codable {
    var wanted: MachineRecord.Wanted
    var reported: MachineRecord.Reported
    var judged: MachineRecord.Judged

    init(_ machine: MachineRecord) {
        (wanted, reported, judged) = (machine.wanted, machine.reported, machine.judged)
        // Growth that was measured before the manager was away says nothing of now.
        reported.rates = [:]
    }

    init(from decoder: any Decoder) throws {
        wanted = try MachineRecord.Wanted(from: decoder)
        reported = try MachineRecord.Reported(from: decoder)
        judged = try MachineRecord.Judged(from: decoder)
    }

    func encode(to encoder: any Encoder) throws {
        try wanted.encode(to: encoder)
        try reported.encode(to: encoder)
        try judged.encode(to: encoder)
    }
}
