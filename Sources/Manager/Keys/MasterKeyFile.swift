import Foundation
import Sealing

/// The file with the master key, and beside it, while it is being replaced, the next one.
struct MasterKeyFile: Sendable {
    let path: String
    var next: String { path + ".next" }

    /// The key with this name, from whichever of the two files has it; a new one where there is no file and no name.
    ///
    /// The file that is not right is removed.
    func open(for id: String?) throws -> MasterKey {
        if let key = try read(path), id == nil || key.id == id {
            // A rotation that was broken off before its commit.
            for name in [next, next + ".new"] { try? FileManager.default.removeItem(atPath: name) }
            return key
        }
        guard let id else {
            let key = MasterKey()
            try PrivateFile.write(key.rawRepresentation, to: path)
            return key
        }
        guard let key = try read(next), key.id == id else {
            throw StartError(
                "\(path) is missing or is not the key that this database was written under; restore it from your backup: nothing can be read without it"
            )
        }
        // A rotation that was broken off after its commit.
        try settle()
        return key
    }

    /// Writes the next key; from here on either may turn out to be the right one.
    func prepare(_ key: MasterKey, beside current: MasterKey) throws {
        // The only copy of the key in use, if it could not be renamed the last time.
        if let waiting = try read(next), waiting.id == current.id { try settle() }
        try PrivateFile.write(key.rawRepresentation, to: next)
        try synchronizeDirectory(directory)
    }

    /// The next key takes the place of the old one.
    func settle() throws {
        guard rename(next, path) == 0 else {
            throw StartError("\(next) can't be renamed to \(path): \(String(cString: strerror(errno)))")
        }
        try synchronizeDirectory(directory)
    }

    private var directory: String { URL(fileURLWithPath: path).deletingLastPathComponent().path }

    private func read(_ path: String) throws -> MasterKey? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        guard bytes.count == 32 else {
            throw StartError(
                "\(path) is not a master key (32 bytes); restore it from your backup: nothing can be read without it")
        }
        return try MasterKey(rawRepresentation: bytes)
    }
}
