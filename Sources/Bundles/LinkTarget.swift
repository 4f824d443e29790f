import Fleet

/// Where a symbolic link of a bundle may lead: to something in the same bundle, whatever other links there are.
///
/// `..` may stand at the beginning only. From the link's own directory, which is a real one, it leads up at most to the root; what
/// follows leads down, and where that is a link again, the same holds for it. So no chain of links ever leaves the tree.
enum LinkTarget {
    /// Why the link is refused; nil where it stays inside.
    static func fault(_ target: [UInt8], of link: EntryPath, limits: Limits) -> String? {
        guard !target.isEmpty, !target.contains(0) else { return "a symbolic link that leads nowhere" }
        guard target.count <= limits.pathLength else {
            return "a symbolic link whose target has more than \(limits.pathLength) bytes"
        }
        guard let text = String(validating: target, as: UTF8.self), text.isPlain else {
            return "a symbolic link whose target is no plain text in UTF-8"
        }
        guard target.first != UInt8(ascii: "/") else {
            return
                "a symbolic link to \(text), outside of the bundle; put a copy in its place (a virtualenv: python3 -m venv --copies)"
        }
        var depth = link.components.count - 1
        var isDown = false
        for name in text.split(separator: "/") where name != "." {
            guard name == ".." else {
                isDown = true
                continue
            }
            guard !isDown else { return "a symbolic link to \(text), with .. behind a name; write it without" }
            depth -= 1
            guard depth >= 0 else {
                return "a symbolic link to \(text), outside of the bundle; put a copy in its place"
            }
        }
        return nil
    }
}
