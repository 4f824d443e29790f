import Bundles
import Fleet
import Glibc
import OperatingSystem
import Sealing

/// What of a bundle the others on this machine have, too: copied to where its parts come, so that it is not received.
///
/// What is copied is no better than what is received: all of it is read and hashed as one bundle before it counts.
enum KnownContent {
    /// - Returns: the parts that are whole with it. A disk that does not take it makes them fewer.
    static func copy(
        _ index: BundleIndex, from bundles: [String], to file: String, size: Int, partSize: Int
    ) -> PartRanges {
        let descriptor = open(file, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return PartRanges() }
        defer { close(descriptor) }
        // Where each chunk is to be; one that repeats is wanted in several places.
        var places: [BundleIndex.Chunk: [Int]] = [:]
        var starts: [Int] = []
        var start = 0
        for (number, chunk) in index.chunks.enumerated() {
            places[chunk, default: []].append(number)
            starts.append(start)
            start += chunk.length
        }
        var isHere = [Bool](repeating: false, count: index.chunks.count)
        for bundle in bundles {
            // One that cannot be read has nothing to give.
            try? index.cut(bundleAt: bundle) { bytes in
                let chunk = BundleIndex.Chunk(length: bytes.count, hash: BundleDigest.short(of: bytes))
                for number in places[chunk] ?? [] where !isHere[number] {
                    isHere[number] = PartStore.put(bytes, to: descriptor, at: starts[number])
                }
            }
        }
        return parts(of: size, partSize, isHere: isHere, index.chunks)
    }

    /// Those all of whose chunks are here.
    private static func parts(
        of size: Int, _ partSize: Int, isHere: [Bool], _ chunks: [BundleIndex.Chunk]
    ) -> PartRanges {
        var isLacking = [Bool](repeating: false, count: (size - 1) / partSize + 1)
        var start = 0
        for (chunk, isHere) in zip(chunks, isHere) {
            let end = start + chunk.length
            if !isHere { for part in (start / partSize)...((end - 1) / partSize) { isLacking[part] = true } }
            start = end
        }
        var whole = PartRanges()
        for (part, isLacking) in isLacking.enumerated() where !isLacking { whole.insert(part) }
        return whole
    }
}
