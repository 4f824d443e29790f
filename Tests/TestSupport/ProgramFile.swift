package import Foundation

/// A program's bytes with another text of the same length in the place of each that it has, such as its version.
///
/// - Throws: where the program does not have the text.
package func programFile(_ file: URL, saying new: String, insteadOf old: String) throws -> Data {
    var program = try Data(contentsOf: file)
    var start = program.startIndex
    var found = 0
    while let place = program.range(of: Data(old.utf8), in: start..<program.endIndex) {
        program.replaceSubrange(place, with: Data(new.utf8))
        start = place.upperBound
        found += 1
    }
    guard found > 0, old.utf8.count == new.utf8.count else {
        throw CocoaError(.fileReadCorruptFile, userInfo: [NSFilePathErrorKey: file.path])
    }
    return program
}
