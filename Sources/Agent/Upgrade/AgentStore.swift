import Bundles
import Fleet
import FoundationEssentials
import Glibc
import OperatingSystem
import Sealing

/// Agents that were delivered, by the digests of their bundles, and which agent is in force on this machine.
///
/// The one that the machine's owner installed is always there: what was delivered is put beside it, never over it.
struct AgentStore: Sendable {
    /// In the state directory, 0600.
    struct Record: Codable, Equatable, Sendable {
        /// The installed program, by its absolute path.
        var installed: String
        /// The delivered one that takes its place; nil: none does.
        var inForce: Delivered?
        /// How often it was started since it last reported.
        var starts = 0
        /// The last one that was taken back.
        var failure: Failure?
    }

    struct Delivered: Codable, Equatable, Sendable {
        var version: String
        /// Of the bundle.
        var digest: String
        /// SHA-256 of the program.
        var program: String
    }

    struct Failure: Codable, Equatable, Sendable {
        var version: String
        var digest: String
        /// For people.
        var why: String
        var count: Int
        /// By the wall clock: it may be another boot of the machine that tries again.
        var again: Timestamp
    }

    /// One that does not report is started so often before the installed one goes on in its place.
    static let mostStarts = 3
    private static let firstPause = TimeSpan.minutes(10)
    private static let longestPause = TimeSpan.hours(6)

    let state: StateDirectory

    private var directory: String { state.path + "/agents" }
    func program(_ digest: String) -> String { "\(directory)/\(digest)/\(SoftwareManifest.agentName)" }

    /// The program that runs this code.
    static let running: String = {
        guard let resolved = realpath("/proc/self/exe", nil) else { return "/proc/self/exe" }
        defer { free(resolved) }
        return String(cString: resolved)
    }()

    var runsDelivered: Bool { Self.running.hasPrefix(directory + "/") }

    /// One that is damaged is as good as none: the order says again what is wanted.
    var record: Record {
        let kept: Record? = (try? state.value(from: .agent)).flatMap { $0 }
        var record = kept ?? Record(installed: Self.running)
        if !runsDelivered { record.installed = Self.running }
        return record
    }

    func save(_ record: Record) throws(AgentError) { try state.save(record, to: .agent) }

    /// Unpacks a bundle that was received, and asks the program in it who it is.
    func prepare(_ offer: Offer, from bundles: BundleCache) throws(AgentError) -> Delivered {
        try DirectoryTree.make(directory)
        let fresh = "\(directory)/new-\(offer.digest)"
        ForeignTree.remove(fresh)
        do { try BundleReader.unpack(bundleAt: bundles.path(offer.digest), into: fresh, durable: true) } catch {
            throw AgentError(.bundle, "its bundle cannot be unpacked: \(error)")
        }
        let program = "\(fresh)/\(SoftwareManifest.agentName)"
        if let fault = ProgramFile.fault(ofFile: program) {
            ForeignTree.remove(fresh)
            throw AgentError(.bundle, "\(SoftwareManifest.agentName) in its bundle \(fault)")
        }
        let said = Self.version(of: program)
        guard said == offer.version else {
            ForeignTree.remove(fresh)
            throw AgentError(
                .bundle,
                "its program \(said.map { "says that it is \($0)" } ?? "does not run on this machine (another architecture?)")"
            )
        }
        let digest: String
        do { digest = try BundleDigest.hex(ofFile: program) } catch {
            throw AgentError(.bundle, "\(program) cannot be read: \(error)")
        }
        let place = "\(directory)/\(offer.digest)"
        ForeignTree.remove(place)
        guard rename(fresh, place) == 0 else { throw .system("rename", fresh) }
        return Delivered(version: offer.version, digest: offer.digest, program: digest)
    }

    /// What an order offers.
    struct Offer: Sendable {
        var version: String
        var digest: String
    }

    /// The second word of what `PROGRAM --version` prints; nil where it does not run.
    private static func version(of program: String) -> String? {
        let (status, output) = Spawned.output(of: program, ["--version"], timeout: .seconds(20))
        guard status == 0 else { return nil }
        let words = output.split(whereSeparator: \.isWhitespace)
        return words.count == 2 && words[0] == SoftwareManifest.agentName ? String(words[1]) : nil
    }

    func isIntact(_ delivered: Delivered) -> Bool {
        (try? BundleDigest.hex(ofFile: program(delivered.digest))) == delivered.program
    }

    /// Removes all but these.
    func keepOnly(_ digests: Set<String>) {
        for name in DirectoryTree.names(in: directory) where !digests.contains(name) {
            ForeignTree.remove("\(directory)/\(name)")
        }
    }

    func failure(of delivered: Delivered, _ why: String, after former: Failure?, now: Timestamp) -> Failure {
        let count = former?.digest == delivered.digest ? (former?.count ?? 0) + 1 : 1
        let pause = min(Self.firstPause * (1 << Int64(min(count - 1, 10))), Self.longestPause)
        return Failure(
            version: delivered.version, digest: delivered.digest, why: why, count: count, again: now + pause)
    }

    /// Becomes the delivered agent that is in force, where this is another one. Returns where this one is to go on.
    ///
    /// - Returns: what people are to know: why one that is in force is not.
    func enter() -> String? {
        var record = record
        guard let inForce = record.inForce, !runsDelivered else { return nil }
        let why: String
        if !isIntact(inForce) {
            why = "its program is gone or was changed"
        } else if record.starts >= Self.mostStarts {
            why = "it was started \(record.starts) times and did not report"
        } else {
            record.starts += 1
            // Where that cannot be kept nobody would see it fail again and again.
            guard (try? save(record)) != nil else { return nil }
            Spawned.become(program(inForce.digest), arguments: Array(CommandLine.arguments.dropFirst()))
            why = "it cannot be started: \(systemMessage(errno))"
        }
        record.inForce = nil
        record.starts = 0
        record.failure = failure(of: inForce, why, after: record.failure, now: SystemClock.now)
        try? save(record)
        return "the agent \(inForce.version) was taken back: \(why)"
    }
}
