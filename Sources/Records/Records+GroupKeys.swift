package import Fleet
package import Foundation
import GRDB

/// Who still goes by a group's previous key.
extension Records {
    /// The machines of the group that know this key of it and are not revoked; so many of them at most.
    package func machines(of group: String, knowing key: Data, limit: Int) throws(RecordsError) -> [String] {
        try rows(
            """
            SELECT k.machine FROM machine_keys k JOIN machines m ON m.id = k.machine
            WHERE k.group_key = ? AND m."group" = ? AND m.phase <> ? LIMIT ?
            """, [key, group, MachineRecord.Phase.revoked.rawValue, limit]
        ) { try $0.value("machine") }
    }

    /// How many `machines` would name without a limit.
    package func countOfMachines(of group: String, knowing key: Data) throws(RecordsError) -> Int {
        try row(
            """
            SELECT count(*) AS count FROM machine_keys k JOIN machines m ON m.id = k.machine
            WHERE k.group_key = ? AND m."group" = ? AND m.phase <> ?
            """, [key, group, MachineRecord.Phase.revoked.rawValue]
        ) { try $0.value("count") } ?? 0
    }

    /// Until when the last ticket that names this key, and has not admitted all its machines, is good; nil: there is none.
    package func lastTicket(of group: String, naming key: Data, after now: Timestamp) throws(RecordsError) -> Timestamp?
    {
        try row(
            """
            SELECT expires FROM tickets t WHERE "group" = ? AND group_key = ? AND expires > ?
                AND uses > used
            ORDER BY expires DESC LIMIT 1
            """, [group, key, now.milliseconds]
        ) { try $0.instant("expires") }
    }
}
