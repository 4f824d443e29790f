import Foundation
import Records
import Sealing

extension Vault {
    /// The keys under which a group's machines may speak, the current one first.
    func keys(of group: GroupRow) throws -> [SecurityKey] {
        try [groupKey(group.keySealed, of: group.name)]
            + (group.previousKey.map { [try previousGroupKey($0.sealed, of: group.name)] } ?? [])
    }
    /// The one of them with this public half; nil where it was given up.
    func key(of group: GroupRow, withPublicHalf half: Data) throws -> SecurityKey? {
        if half == group.keyPublic { return try groupKey(group.keySealed, of: group.name) }
        guard let previous = group.previousKey, previous.publicHalf == half else { return nil }
        return try previousGroupKey(previous.sealed, of: group.name)
    }
}
