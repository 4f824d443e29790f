/// How much is asked of a record.
package enum RecordReading: Hashable, Sendable {
    /// All that is asked today: somebody sends it.
    case sent
    /// The same of a group that is there, whose name is what it is.
    case change
    /// It was accepted once, perhaps when less was asked: all that can be read is taken.
    case stored
}
