import Agent
import FoundationEssentials

/// A boot ticket's file, which came by mail or over somebody's shoulder.
enum TicketEntry {
    static func ticket(_ bytes: Data) throws(Finding) -> Bool {
        do {
            _ = try Ticket(bytes, file: "ticket.json")
            return true
        } catch {
            try Finding.require(error.code == .ticket, "a wrong ticket is called one")
            try Finding.require(error.message.utf8.count < 1024, "a refusal is short")
            return false
        }
    }
}
