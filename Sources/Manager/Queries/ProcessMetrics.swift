import Fleet
import Foundation
import OperatingSystem

/// What Prometheus' own libraries say of every process, by the same names.
enum ProcessMetrics {
    /// Of `/proc` on Linux, whatever the kernel's own tick is.
    private static let ticksPerSecond = 100.0
    private static let pageSize = 4096.0

    static func write(to text: inout MetricsText, wall: Timestamp) {
        // Behind the name, which may have spaces: from the state on (proc(5), fields 3 to 24).
        let stat = (try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8)) ?? ""
        let fields = (stat.split(separator: ")").last ?? "").split(separator: " ").map { Double($0) ?? 0 }
        guard fields.count > 21 else { return }
        let started = Double(wall.milliseconds - KernelClock.sinceBoot) / 1000 + fields[19] / ticksPerSecond
        func write(_ name: String, _ kind: MetricsText.Kind, _ help: String, _ value: Double) {
            text.family("process_" + name, kind, help, prefix: "", [([:], value)])
        }
        write(
            "cpu_seconds_total", .counter, "Processor time, user and system.",
            (fields[11] + fields[12]) / ticksPerSecond)
        write("resident_memory_bytes", .gauge, "Memory that is resident.", fields[21] * pageSize)
        write("start_time_seconds", .gauge, "When the process began, since the Unix epoch.", started.rounded())
        if let open = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
            write("open_fds", .gauge, "Open files and connections.", Double(open.count))
        }
    }

    /// The process's own memory without what is of files, in bytes; 0 where that can't be read.
    static var anonymousMemory: Int {
        // All that is resident, and what of it is of files, in pages (proc(5)).
        let statm = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        let pages = statm.split(separator: " ").compactMap { Int($0) }
        return pages.count > 2 ? (pages[1] - pages[2]) * Int(pageSize) : 0
    }
}
