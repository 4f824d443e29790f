import Fleet
import Foundation

/// Sizes, times and counts for people; JSON has them exactly.
extension TimeSpan {
    /// `0.4 s`, `12.5 s`, `3m 12s`, `2h 5m`, `3d 4h`
    var words: String {
        let seconds = milliseconds / 1000
        switch seconds {
        case ..<100: return String(format: "%.1f s", Double(milliseconds) / 1000)
        case ..<3600: return "\(seconds / 60)m \(seconds % 60)s"
        case ..<86_400: return "\(seconds / 3600)h \(seconds / 60 % 60)m"
        default: return "\(seconds / 86_400)d \(seconds / 3600 % 24)h"
        }
    }

    /// In one unit, for a column: `4s`, `12m`, `3h`, `12d`.
    var brief: String {
        let seconds = max(milliseconds, 0) / 1000
        switch seconds {
        case ..<100: return "\(seconds)s"
        case ..<6000: return "\(seconds / 60)m"
        case ..<172_800: return "\(seconds / 3600)h"
        default: return "\(seconds / 86_400)d"
        }
    }
}

extension Int {
    /// Bytes: `812 B`, `1.4 MB`.
    var bytes: String {
        guard self >= 1000 else { return "\(self) B" }
        var (value, unit) = (Double(self), 0)
        while value >= 999.5, unit < 5 { (value, unit) = (value / 1000, unit + 1) }
        return String(format: value < 10 ? "%.1f %@" : "%.0f %@", value, ["B", "kB", "MB", "GB", "TB", "PB"][unit])
    }

    /// `1 machine`, `3 machines`
    func of(_ thing: String) -> String { "\(self) \(thing)\(self == 1 ? "" : "s")" }
}

extension Double {
    /// A metric's value: `41`, `0.25`.
    var short: String {
        self == rounded() && abs(self) < 1e15
            ? "\(Int(self))" : formatted(.number.grouping(.never).precision(.significantDigits(1...4)))
    }
}
