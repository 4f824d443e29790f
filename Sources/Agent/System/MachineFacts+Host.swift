import Fleet
import Glibc

extension MachineFacts {
    /// Of the machine that we run on.
    static func ofThisMachine(_ isolation: Isolation) -> MachineFacts {
        var name = utsname()
        uname(&name)
        return MachineFacts(
            host: text(&name.nodename), os: osName() ?? text(&name.sysname), arch: text(&name.machine),
            cores: max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))),
            memory: max(0, sysconf(Int32(_SC_PHYS_PAGES))) * max(0, sysconf(Int32(_SC_PAGESIZE))),
            agent: Version.text, wires: WireVersion.spoken, isolation: isolation)
    }

    private static func text<Tuple>(_ tuple: inout Tuple) -> String {
        withUnsafeBytes(of: &tuple) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    /// `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"`
    private static func osName() -> String? {
        guard let content = try? AtomicFile.read("/etc/os-release", limit: 64 << 10) else { return nil }
        let prefix = "PRETTY_NAME="
        for line in String(decoding: content, as: UTF8.self).split(separator: "\n") where line.hasPrefix(prefix) {
            return String(line.dropFirst(prefix.count).filter { $0 != "\"" }.prefix(100))
        }
        return nil
    }
}
