import FoundationEssentials
import Glibc
import OperatingSystem

/// Keeps an idle agent small.
enum Memory {
    /// Gives back what was freed, and the pages of program code that only starting or receiving needed.
    static func giveBack() {
        FreedMemory.giveBack()
        guard let maps = try? AtomicFile.read("/proc/self/maps") else { return }
        for line in String(decoding: maps, as: UTF8.self).split(separator: "\n") {
            guard let (start, length) = code(line) else { continue }
            // Never written to, so what is needed again comes back from the file.
            madvise(UnsafeMutableRawPointer(bitPattern: start), length, MADV_DONTNEED)
        }
    }

    /// The addresses of a line `START-END r-xp OFFSET DEVICE INODE /PATH`; nil for mappings of any other kind.
    static func code(_ line: Substring) -> (start: UInt, length: Int)? {
        let fields = line.split(separator: " ")
        guard fields.count >= 6, fields[1] == "r-xp", fields[5].hasPrefix("/") else { return nil }
        let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
        guard ends.count == 2, ends[0] > 0, ends[0] < ends[1] else { return nil }
        return (ends[0], Int(clamping: ends[1] - ends[0]))
    }
}
