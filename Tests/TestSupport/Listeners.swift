import Foundation
import Glibc

/// What a process listens on, as the kernel sees it (proc(5), net/tcp): no connection is made.
package enum Listeners {
    /// Its `address:port`s of TCP, sorted; IPv6 addresses as their hexadecimal digits.
    package static func of(_ pid: Int32) -> [String] {
        let descriptors = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")) ?? []
        let sockets = Set(
            descriptors.compactMap {
                try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\($0)")
            })
        return ["tcp", "tcp6"].flatMap { table -> [String] in
            let lines = (try? String(contentsOfFile: "/proc/net/\(table)", encoding: .utf8)) ?? ""
            return lines.split(separator: "\n").compactMap { line -> String? in
                let fields = line.split(separator: " ")
                guard fields.count > 9, fields[3] == "0A", sockets.contains("socket:[\(fields[9])]") else { return nil }
                return address(fields[1])
            }
        }.sorted()
    }

    private static func address(_ field: Substring) -> String? {
        let parts = field.split(separator: ":")
        guard parts.count == 2, let port = Int(parts[1], radix: 16) else { return nil }
        guard parts[0].count == 8, let value = UInt32(parts[0], radix: 16) else { return "\(parts[0]):\(port)" }
        // In memory's order, which is the network's.
        return withUnsafeBytes(of: value) { $0.map { "\($0)" }.joined(separator: ".") } + ":\(port)"
    }
}
