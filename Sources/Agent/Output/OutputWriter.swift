import Fleet
import Glibc
import OperatingSystem

/// The process that keeps what the software writes: it outlives the agent as the software does, and ends when nothing is left of the
/// software that could write.
///
/// One thread, fixed buffers. Its descriptors: 0 and 1 the software's standard output and error, 2 none, 3 the log's directory.
struct OutputWriter {
    /// The agent's first argument that makes it one.
    static let mode = "keep-output"

    private static let atOnce = 64 << 10
    /// While lines are left out: reads of `atOnce` bytes are so far apart, which holds the writer to a small part of a core.
    private static let pace: useconds_t = 4000
    private static let retry: Int32 = 1000
    /// Milliseconds between two looks whether software can still come that never did.
    private static let look: Int32 = 5000

    private var file = OutputFile(in: 3)
    private var streams: [(descriptor: Int32, cutter: LineCutter)?] = [
        (0, LineCutter(.stdout)), (1, LineCutter(.stderr)),
    ]
    /// Whether its software has come: its end is noticed from then on.
    private var hasCome = [false, false]
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: atOnce, alignment: 16)
    private var bytes: [UInt8] = []
    /// Lines that could not be written, and why.
    private var (lost, cause) = (0, Int32(0))

    /// Returns the exit status, at the software's end.
    static func main() -> Int32 {
        // It ends with the software. Whoever ends the agent, or both, means neither.
        for number in [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGXFSZ] { signal(number, SIG_IGN) }
        name()
        // One at a time reads a stream: another one that was started for the same takes over when this one is gone.
        while flock(0, LOCK_EX) != 0 && errno == EINTR {}
        var writer = OutputWriter()
        writer.run()
        return 0
    }

    private mutating func run() {
        bytes.reserveCapacity(Self.atOnce + 2 * LineFormat.longestPart)
        while streams.contains(where: { $0 != nil }) {
            var polled = streams.map { pollfd(fd: $0?.descriptor ?? -1, events: Int16(POLLIN), revents: 0) }
            if poll(&polled, nfds_t(polled.count), timeout) == 0 { lookForSoftware() }
            var isOverBudget = false
            // One read of each in turn, so that neither waits for the other.
            for index in streams.indices where polled[index].revents != 0 {
                read(index)
                isOverBudget = isOverBudget || streams[index]?.cutter.isOverBudget ?? false
            }
            let (now, time) = (Self.milliseconds, LineFormat.now())
            for index in streams.indices { streams[index]?.cutter.pause(now: now, time: time, into: &bytes) }
            flush()
            if isOverBudget { usleep(Self.pace) }
        }
        file.close()
    }

    /// What `ps` calls it.
    private static func name() {
        let descriptor = open("/proc/self/comm", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        let name = Array("trunkline-log".utf8)
        _ = write(descriptor, name, name.count)
        close(descriptor)
    }

    private var timeout: Int32 {
        if lost > 0 || streams.contains(where: { $0?.cutter.isOverBudget ?? false }) { return Self.retry }
        return streams.indices.contains { streams[$0] != nil && !hasCome[$0] } ? Self.look : -1
    }

    /// A pipe into which nobody ever wrote does not end by itself: where its name is gone nobody will come.
    private mutating func lookForSoftware() {
        for index in streams.indices where !hasCome[index] {
            guard let descriptor = streams[index]?.descriptor else { continue }
            read(index)
            // It ended, which it does wherever nobody has it open for writing; one that has a name waits for who may come.
            guard streams[index] == nil, FileStatus(descriptor: descriptor)?.names != 0 else { continue }
            streams[index] = (descriptor, LineCutter(index == 0 ? .stdout : .stderr))
        }
    }

    private mutating func read(_ index: Int) {
        guard let descriptor = streams[index]?.descriptor else { return }
        let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
        if count < 0 && errno == EINTR { return }
        hasCome[index] = hasCome[index] || count > 0 || count < 0 && errno == EAGAIN
        if count < 0 && errno == EAGAIN { return }
        let (now, time) = (Self.milliseconds, LineFormat.now())
        guard count > 0 else {
            streams[index]?.cutter.finish(time: time, into: &bytes)
            streams[index] = nil
            return flush()
        }
        var taken = 0
        while taken < count {
            let input = UnsafeRawBufferPointer(rebasing: buffer[taken..<count])
            taken +=
                streams[index]?.cutter.take(input, now: now, time: time, into: &bytes, most: Self.atOnce) ?? input.count
            flush()
        }
    }

    /// What cannot be written is lost, so that the software never waits for a disk; it is said once there is room.
    private mutating func flush() {
        if lost > 0 {
            var words: [UInt8] = []
            LineFormat.append(
                "(\(lost) lines could not be kept: \(String(cString: strerror(cause))))".utf8, of: .agent,
                at: LineFormat.now(), to: &words)
            if file.append(words) { lost = 0 }
        }
        guard !bytes.isEmpty else { return }
        if lost > 0 || !file.append(bytes) {
            if lost == 0 { cause = errno }
            lost += bytes.count { $0 == 10 }
        }
        bytes.removeAll(keepingCapacity: true)
    }

    private static var milliseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
