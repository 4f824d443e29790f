package import Glibc

/// What root's power is divided into, as far as it matters here: names without `CAP_`, in small letters.
package enum Capabilities {
    /// What software may be given: all that a telephony program needs.
    package static let numbers: [String: CInt] = [
        "net_bind_service": 10, "net_admin": 12, "net_raw": 13, "ipc_lock": 14, "sys_nice": 23,
    ]

    /// chown, dac_override, fowner, kill, setgid, setuid, setpcap: without them nobody can start software as another user and end it.
    private static let needed: [CInt] = [0, 1, 3, 5, 6, 7, 8]

    /// Whether this process may start others as users of its choice.
    package static var mayChangeUsers: Bool {
        guard geteuid() == 0, let status = WholeFile.read("/proc/self/status", limit: 64 << 10),
            let mask = mask(named: "CapEff", inStatus: String(decoding: status, as: UTF8.self))
        else { return false }
        return needed.allSatisfy { mask & (1 << UInt64($0)) != 0 }
    }

    /// The line `CapEff:\t000001ffffffffff` of `/proc/PID/status`.
    package static func mask(named name: String, inStatus status: String) -> UInt64? {
        for line in status.split(separator: "\n") where line.hasPrefix(name + ":") {
            return UInt64(line.dropFirst(name.count + 1).filter { !$0.isWhitespace }, radix: 16)
        }
        return nil
    }

    private static let dropFromBoundingSet: CInt = 24
    private static let keepOverUserChange: CInt = 8
    private static let ambient: CInt = 47
    private static let raise: UInt = 2
    private static let noNewPrivileges: CInt = 38

    /// From now on no program that is executed gets anything by its set-user-ID bit or file capabilities.
    package static func renounceNewPrivileges() -> Bool { KernelCalls.control(noNewPrivileges, 1) }

    /// Becomes the user for good, with a group of the same number and no other, and these capabilities only, over exec.
    ///
    /// - Returns: what failed; nil: all done.
    package static func become(_ user: uid_t, keeping names: [String]) -> String? {
        let kept = names.compactMap { numbers[$0] }
        guard kept.count == names.count else { return "give the capabilities \(names.joined(separator: " "))" }
        // Ends where the kernel knows no further one.
        var capability: CInt = 0
        while capability < 64 {
            if !kept.contains(capability), !KernelCalls.control(dropFromBoundingSet, UInt(capability)) {
                guard errno == EINVAL, capability > 0 else { return "cut the capabilities" }
                break
            }
            capability += 1
        }
        guard KernelCalls.control(keepOverUserChange, 1) else { return "keep capabilities" }
        var group = gid_t(user)
        guard setgroups(1, &group) == 0 else { return "set its groups" }
        guard setgid(group) == 0 else { return "become the group \(group)" }
        guard setuid(user) == 0 else { return "become the user \(user)" }
        let mask = kept.reduce(UInt64(0)) { $0 | 1 << UInt64($1) }
        guard KernelCalls.setCapabilities(mask) else { return "set its capabilities" }
        for capability in kept where !KernelCalls.control(ambient, raise, UInt(capability)) {
            return "keep the capability \(capability)"
        }
        return nil
    }
}
