package import Fleet
package import FoundationEssentials

/// The manager's own status, retained on `trunkline/manager`; with `away`, its last will.
package struct ManagerStatus: Hashable, Sendable {
    package enum State: String, Codable, Hashable, Sendable {
        case online, away
    }

    package var state: State
    package var at: Timestamp
    /// Of the program.
    package var version: String

    package init(state: State, at: Timestamp, version: String) {
        self.state = state
        self.at = at
        self.version = version
    }

    package static let largest = 4 << 10

    package func encoded() -> Data {
        var json = JSONWriter()
        json.write("v", WireVersion.newest)
        json.write("state", state.rawValue)
        json.write("at", at.description)
        json.write("version", version.cut(to: 64))
        return json.closed()
    }

    package static func decode(_ payload: Data) throws(WireError) -> ManagerStatus {
        struct Wire: Decodable {
            var v: Int
            var state: State
            var at: Timestamp
            var version: String
        }
        try WireChecks.size(payload, atMost: largest)
        let json = try WireChecks.decode(Wire.self, payload)
        try WireChecks.version(json.v)
        try WireChecks.require(Name.isValidVersion(json.version), "the version is out of range")
        return ManagerStatus(state: json.state, at: json.at, version: json.version)
    }
}
