import Fleet
import GroupLanguage

/// What the language promises of any text.
enum LanguageEntry {
    static func text(_ bytes: [UInt8]) throws(Finding) -> Bool {
        let text = String(decoding: bytes, as: UTF8.self)
        let faults = GroupLanguage.check(text)
        try positions(of: faults, in: text)
        // Its indentation may make a text longer than one may be.
        let formatted = try? GroupLanguage.format(text)
        if let formatted, formatted.utf8.count <= 1 << 20 {
            let again = try Finding.mustWork("the canonical form is read") { try GroupLanguage.format(formatted) }
            try Finding.require(again == formatted, "formatting twice is formatting once")
            try Finding.require(
                GroupLanguage.check(formatted).isEmpty == faults.isEmpty, "formatting keeps a text as right as it was")
        }
        guard formatted?.utf8.count ?? 0 <= 1 << 20 else { return faults.isEmpty }
        let group = try? GroupLanguage.group(from: text)
        let software = try? GroupLanguage.software(from: text)
        try Finding.require(faults.isEmpty == (group != nil || software != nil), "faults, or something that was read")
        if let group { try self.group(group, text: text) }
        if let software { try self.software(software, text: text) }
        return faults.isEmpty
    }

    static func json(_ bytes: [UInt8]) throws(Finding) -> Bool {
        let text = String(decoding: bytes, as: UTF8.self)
        do {
            try writes(try GroupLanguage.group(fromJSON: text))
            return true
        } catch let finding as Finding {
            throw finding
        } catch let faults as Diagnostics {
            try Finding.require(!faults.all.isEmpty, "a refusal says why")
            try positions(of: faults.all, in: text)
            return false
        } catch {
            throw Finding("another error: \(error)")
        }
    }

    private static func group(_ group: GroupDefinition, text: String) throws(Finding) {
        try writes(group)
        try Finding.require(
            try Finding.mustWork("a group formats") {
                try GroupLanguage.group(from: try GroupLanguage.format(text))
            } == group, "formatting keeps a group's meaning")
        let completed = try Finding.mustWork("a group is completed") {
            try GroupLanguage.group(from: try GroupLanguage.completed(text))
        }
        try Finding.require(completed.rules == group.rules, "the rules that are written out are those that hold")
        let counted = try Finding.mustWork("a group's own count is set") {
            try GroupLanguage.group(from: try GroupLanguage.setting(count: group.machines.count, in: text))
        }
        try Finding.require(counted == group, "its own count changes nothing")
    }

    private static func writes(_ group: GroupDefinition) throws(Finding) {
        let text = try Finding.mustWork("a group's text is read") {
            try GroupLanguage.group(from: GroupLanguage.text(of: group))
        }
        try Finding.require(text == group, "a group's text is the same group")
        let json = try Finding.mustWork("a group's JSON is read") {
            try GroupLanguage.group(fromJSON: GroupLanguage.json(of: group))
        }
        try Finding.require(json == group, "a group's JSON is the same group")
    }

    private static func software(_ software: SoftwareManifest, text: String) throws(Finding) {
        let written = try Finding.mustWork("a manifest's text is read") {
            try GroupLanguage.software(from: GroupLanguage.text(of: software))
        }
        try Finding.require(written == software, "a manifest's text is the same manifest")
        let formatted = try Finding.mustWork("a manifest formats") {
            try GroupLanguage.software(from: try GroupLanguage.format(text))
        }
        try Finding.require(formatted == software, "formatting keeps a manifest's meaning")
    }

    private static func positions(of faults: [Diagnostic], in text: String) throws(Finding) {
        let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for fault in faults {
            try Finding.require((1...lines.count).contains(fault.line), "\(fault.id) is on a line of the text")
            // Scalars, since a mark may stand inside of what a reader sees as one character.
            let width = String(decoding: lines[fault.line - 1], as: UTF8.self).unicodeScalars.count
            try Finding.require((1...(width + 1)).contains(fault.column), "\(fault.id) is in a column of its line")
            try Finding.require(
                fault.length >= 1 && fault.column + fault.length <= width + 2, "\(fault.id) ends on its line")
        }
        let report = Diagnostics(faults).rendered(file: "f", source: text)
        try Finding.require(report.isEmpty == faults.isEmpty, "every fault is in the report")
        try Finding.require(report.utf8.count <= faults.count * 8192, "a report is short")
    }
}
