import Fleet
import Foundation

/// A mail as it is given to `sendmail -t`. Whatever machines say in it: it is one header's text, or in the body, which is encoded.
struct MailText {
    let data: Data

    /// Letters of a subject before it is encoded.
    private static let longestSubject = 160

    init(_ events: [EventEntry], to receivers: [String], from sender: String?) {
        var lines: [String] = []
        if let sender { lines.append("From: \(sender)") }
        lines.append("To: \(receivers.joined(separator: ", "))")
        lines.append("Subject: \(Self.encoded(Self.subject(of: events)))")
        lines.append("Auto-Submitted: auto-generated")
        if let first = events.first, let last = events.last {
            // By this a repetition is known.
            lines.append("Trunkline-Events: \(first.id)-\(last.id)")
        }
        lines += [
            "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64", "",
        ]
        let body = Data(events.map(Self.paragraph).joined(separator: "\n").utf8)
        lines.append(
            body.base64EncodedString(options: [.lineLength76Characters, .endLineWithLineFeed]))
        data = Data((lines.joined(separator: "\n") + "\n").utf8)
    }

    static func subject(of events: [EventEntry]) -> String {
        guard events.count == 1, let event = events.first else {
            let groups = Set(events.compactMap(\.group)).sorted()
            let named = groups.isEmpty ? "" : " of " + groups.prefix(5).joined(separator: ", ")
            return "[trunkline] \(events.count) notifications\(named)\(groups.count > 5 ? " and others" : "")"
                .forPeople(atMost: longestSubject)
        }
        let about = event.machine ?? event.group ?? "fleet"
        return "[trunkline] \(about): \(event.message)".forPeople(atMost: longestSubject)
    }

    private static func paragraph(_ event: EventEntry) -> String {
        let place = [event.group, event.machine].compactMap(\.self).joined(separator: " ")
        var text = "\(event.at)\(place.isEmpty ? "" : "  " + place)\n\(event.message.forPeople())\n"
        for (name, value) in event.facts.sorted(by: { $0.key < $1.key }) {
            text += "  \(name.forPeople()): \(value.forPeople())\n"
        }
        return text + "  (\(event.kind.rawValue), event \(event.id), \(event.actor.forPeople()))\n"
    }

    /// RFC 2047: letters of other alphabets, and what looks like such an encoding itself, in words of at most 75 bytes, a line each.
    static func encoded(_ text: String) -> String {
        guard !text.utf8.allSatisfy({ (0x20...0x7e).contains($0) }) || text.contains("=?") else { return text }
        var words: [String] = []
        var word = ""
        for scalar in text.unicodeScalars {
            if word.utf8.count + String(scalar).utf8.count > 45 {
                words.append(word)
                word = ""
            }
            word.unicodeScalars.append(scalar)
        }
        words.append(word)
        return words.map { "=?UTF-8?B?\(Data($0.utf8).base64EncodedString())?=" }.joined(separator: "\n ")
    }
}
