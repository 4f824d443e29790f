import Fleet

/// Reads bundles that anybody may have made: all of it is checked as it streams, and little of it is ever in memory.
package enum BundleReader {
    /// What a bundle holds.
    package struct Contents: Hashable, Sendable {
        /// The text of `software.trunk`; its language is not checked here.
        package let manifestText: String
        package let files: Int
        /// Bytes of all files together.
        package let unpackedSize: Int
        package let programs: BundledPrograms
    }

    /// Reads the whole bundle and returns only if `unpack` would take every entry of it.
    package static func check(bundleAt path: String, limits: Limits = .standard) throws(BundleError) -> Contents {
        try read(try BundleFile(path: path), limits: limits, into: nil)
    }

    /// Unpacks into a directory that it makes (0700) and that must not be there yet; on failure it is gone again.
    ///
    /// Nothing is ever written outside of it. Files become 0644, or 0755 if anyone may run them. With `durable`, the
    /// disk has everything when it returns; without, a crash of the system may lose some of it.
    @discardableResult
    package static func unpack(
        bundleAt path: String, into directory: String, limits: Limits = .standard, durable: Bool = false,
        observer: (any UnpackObserver)? = nil
    ) throws(BundleError) -> Contents {
        try unpack(
            try BundleFile(path: path), into: directory, limits: limits, durable: durable, observer: observer)
    }

    /// The same of a bundle that may still be on its way: it is read once, to its end, and what came is unpacked meanwhile.
    @discardableResult
    package static func unpack(
        _ source: any BundleSource, into directory: String, limits: Limits = .standard, durable: Bool = false,
        observer: (any UnpackObserver)? = nil
    ) throws(BundleError) -> Contents {
        let tree = try UnpackedTree(creating: directory, durable: durable)
        do {
            let contents = try read(source, limits: limits, into: tree, observer: observer)
            try tree.finish()
            return contents
        } catch {
            tree.remove()
            throw error
        }
    }

    private static func read(
        _ source: any BundleSource, limits: Limits, into tree: UnpackedTree?, observer: (any UnpackObserver)? = nil
    ) throws(BundleError) -> Contents {
        var reader = TarReader(try Compression.open(source), limits: limits)
        var rules = TreeRules(limits: limits)
        var manifest: [UInt8]?
        var programs = BundledPrograms()
        while let entry = try reader.next() {
            try rules.countHeader()
            guard let path = entry.path else { continue }
            if entry.isDirectory {
                try rules.addDirectory(path)
                try tree?.addDirectory(path)
                continue
            }
            if let target = entry.target {
                try rules.addLink(path)
                programs.addLink(path, to: target)
                try tree?.addLink(path, to: target)
                observer?.addLink(path.text, to: target)
                continue
            }
            try rules.addFile(path, size: entry.size)
            let isManifest = path.text == SoftwareManifest.fileName
            guard !isManifest || entry.size <= limits.manifestSize else {
                throw BundleError(.tooLarge, entry: path.text, "more than \(limits.manifestSize) bytes")
            }
            if isManifest { manifest = [] }
            var head: [UInt8] = []
            do throws(BundleError) {
                try tree?.beginFile(path)
                try reader.readContent { (bytes) throws(BundleError) in
                    if isManifest { manifest?.append(contentsOf: bytes) }
                    head.append(contentsOf: bytes.prefix(ProgramFile.longestFirstLine - head.count))
                    try tree?.write(bytes)
                    observer?.take(bytes)
                }
                try tree?.endFile(isExecutable: entry.isExecutable)
                observer?.endFile(path.text, size: entry.size, isExecutable: entry.isExecutable)
            } catch {
                throw error.naming(path.text)
            }
            programs.add(path, head: head, isExecutable: entry.isExecutable)
        }
        guard let manifest else {
            throw BundleError(.noManifest, "there is no \(SoftwareManifest.fileName) at the bundle's root")
        }
        guard let text = String(validating: manifest, as: UTF8.self) else {
            throw BundleError(.noManifest, entry: SoftwareManifest.fileName, "not text in UTF-8")
        }
        return Contents(
            manifestText: text, files: rules.files, unpackedSize: rules.unpackedSize, programs: programs)
    }
}
