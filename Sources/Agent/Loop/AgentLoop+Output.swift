import Fleet
import FoundationEssentials
import Glibc
import Logging
import Messaging
import Sealing

/// What the software and its checks say: kept on this machine, and sent.
extension AgentLoop {
    var pipes: OutputPipes { OutputPipes(directory: state.log) }

    /// Somebody watches the log, for so long as his lease says, or nobody does any more.
    func hear(_ watch: OrderContent.Watch?, now: TimeSpan) {
        guard let watch else { return endWatch() }
        var next = watched ?? Watched(reader: OutputReader(directory: state.log), sequence: sequence)
        next.until = now + watch.lease
        if next.request != watch.request {
            next.request = watch.request
            next.tail = next.reader.tail(min(watch.tail, Watched.longestTail))
        }
        if watched == nil { logger.info("somebody watches the log") }
        watched = next
        sendOutput(now: now)
    }

    private func endWatch() {
        guard var ended = watched else { return }
        ended.reader.close()
        sequence = ended.sequence
        watched = nil
        outputAt = nil
        logger.info("nobody watches the log any more")
    }

    func sendOutput(now: TimeSpan) {
        outputAt = now + Self.outputEvery
        guard var current = watched, current.until > now else { return endWatch() }
        // What is said meanwhile is read when there is a connection again.
        // So is what is said while others are on their way, which come first.
        guard !isSending, registration.isDone, connection.isConnected, passport.way != .boot else { return }
        let messages = current.due(now: now).compactMap { message($0, sequence: &current.sequence) }
        watched = current
        guard !messages.isEmpty else { return }
        isSending = true
        work.append { [connection, post] in
            for message in messages { try? await connection.publish(message) }
            post(.linesSent)
        }
    }

    private func message(_ content: LogContent, sequence: inout Int) -> Message? {
        sequence += 1
        do {
            let plaintext = try content.encoded()
            let payload = try LogMessage.encode(
                group: identity.group, machine: identity.machine, session: sessions.current, sequence: sequence
            ) { header in
                let sealed = try AuthenticSeal.log.seal(
                    plaintext, to: identity.groupKeys.current, from: identity.key, authenticating: header)
                return (sealed.encapsulated, sealed.ciphertext)
            }
            return Message(
                topic: identity.topics.log(group: identity.group, machine: identity.machine), payload: payload,
                qos: .atMostOnce)
        } catch {
            logger.error("lines of the log cannot be sealed: \(error)")
            return nil
        }
    }

    // MARK: The process that keeps it

    /// Tells the loop when it ends, whether this agent or an earlier one has started it.
    func watch(writer: ProcessIdentity) {
        ExitWatch.wait(for: writer) { [post] in
            var status: Int32 = 0
            let isOurs = waitpid(writer.pid, &status, WNOHANG) == writer.pid
            post(.writerEnded(writer, well: isOurs && status == 0))
        }
    }

    /// One that is killed has left what it did not read in the pipes, where the software's next words go, too.
    func writerEnded(_ writer: ProcessIdentity, well: Bool, now: TimeSpan) {
        guard !well, writer == process?.writer else { return }
        logger.warning("what kept the software's output has ended before the software")
        writerAt = now + Self.writerPause
    }

    func startWriter(now: TimeSpan) {
        writerAt = nil
        switch supervisor.phase {
        case .up, .starting, .stopping: break
        case .down, .waiting: return
        }
        do throws(AgentError) {
            let writer = try pipes.startWriter()
            watch(writer: writer)
            guard var record = process else { return }
            record.writer = writer
            process = record
            try state.saveSecret(record, to: .process, under: identity.key)
        } catch {
            logger.error("\(error)")
            writerAt = now + Self.writerPause
        }
    }

    /// The agent's own lines about a check.
    func keep(_ lines: [String]) {
        guard !lines.isEmpty else { return }
        let time = LineFormat.now()
        var bytes: [UInt8] = []
        for line in lines { LineFormat.append(line.utf8, of: .check, at: time, to: &bytes) }
        work.append { [directory = state.log, bytes] in
            await AgentQueues.onDisk {
                let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                guard descriptor >= 0 else { return }
                var file = OutputFile(in: descriptor)
                _ = file.append(bytes)
                file.close()
                close(descriptor)
            }
        }
    }
}

/// What is sent of the log while somebody watches.
struct Watched {
    static let longestTail = 1000

    var reader: OutputReader
    /// Of the messages of this agent.
    var sequence: Int
    /// The question that was last heard.
    var request = -1
    var until = TimeSpan.zero
    /// The last lines, where they have not been sent yet.
    var tail: [LogLine]?
    private var limit = LineLimit()

    init(reader: OutputReader, sequence: Int) {
        self.reader = reader
        self.sequence = sequence
    }

    /// What is to be sent now.
    mutating func due(now: TimeSpan) -> [LogContent] {
        var messages: [LogContent] = []
        if let tail {
            messages += LogContent.messages(request: request, isTail: true, tail)
            self.tail = nil
        }
        let lines = limit.pass(reader.newLines(), uptimeMilliseconds: now.milliseconds)
        return messages + LogContent.messages(request: request, isTail: false, lines)
    }
}
