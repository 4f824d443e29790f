import Fleet
import Foundation

/// When windows of maintenance open and close, by the clocks of their places.
struct WindowCalendar {
    private var calendars: [String: Calendar] = [:]

    static func isZone(_ name: String) -> Bool { TimeZone(identifier: name) != nil }

    /// Whether it is open, and when that changes next; nil: nobody knows its time zone.
    mutating func state(of window: Window, at wall: Timestamp) -> (isOpen: Bool, changes: Timestamp)? {
        guard let calendar = calendar(window.zone) else { return nil }
        let now = Date(timeIntervalSince1970: Double(wall.milliseconds) / 1000)
        var changes: Date?
        // Yesterday's may still be open; the day after tomorrow's opens at the latest, whatever the clocks skip.
        for offset in -1...2 {
            guard let day = calendar.date(byAdding: .day, value: offset, to: now),
                let (opens, closes) = Self.hours(of: window, on: day, calendar)
            else { continue }
            if opens <= now, now < closes { return (true, Self.timestamp(closes)) }
            if opens > now { changes = changes.map { min($0, opens) } ?? opens }
        }
        return (false, changes.map(Self.timestamp) ?? wall + .hours(24))
    }

    /// On the day of `instant`; nil: the clocks skip all of it.
    private static func hours(of window: Window, on instant: Date, _ calendar: Calendar) -> (Date, Date)? {
        let today = calendar.startOfDay(for: instant)
        guard let opens = time(window.from, on: today, calendar),
            let last = window.to > window.from
                ? today : calendar.date(byAdding: .day, value: 1, to: today).map(calendar.startOfDay),
            let closes = time(window.to, on: last, calendar), closes > opens
        else { return nil }
        return (opens, closes)
    }

    /// When the clocks first show it on that day, or first have skipped it.
    private static func time(_ minutes: Int, on day: Date, _ calendar: Calendar) -> Date? {
        if minutes == 0 { return day }
        var components = DateComponents()
        (components.hour, components.minute, components.second) = (minutes / 60, minutes % 60, 0)
        return calendar.nextDate(
            after: day, matching: components, matchingPolicy: .nextTime, repeatedTimePolicy: .first)
    }

    private mutating func calendar(_ zone: String) -> Calendar? {
        if let known = calendars[zone] { return known }
        guard let zone = TimeZone(identifier: zone) else { return nil }
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = zone
        calendars[zone.identifier] = calendar
        return calendar
    }

    private static func timestamp(_ date: Date) -> Timestamp {
        Timestamp(milliseconds: Int64((date.timeIntervalSince1970 * 1000).rounded()))
    }
}
