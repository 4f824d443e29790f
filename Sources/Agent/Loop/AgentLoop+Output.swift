import Fleet
import FoundationEssentials
import Glibc
import Logging
import Messaging

/// What the software and its checks say: kept on this machine, and sent.
extension AgentLoop {
    var pipes: OutputPipes { OutputPipes(directory: state.log) }

    /// What is kept now was sent by an earlier agent.
    func watchOutput() {
        outputAt = SystemClock.uptime + Self.outputEvery
        if reader == nil { reader = OutputReader(directory: state.log) }
    }

    func forwardOutput(now: TimeSpan) {
        outputAt = now + Self.outputEvery
        let passed = lineLimit.pass(reader?.newLines() ?? [], uptimeMilliseconds: now.milliseconds)
        guard !passed.isEmpty, registration.isDone, connection.isConnected else { return }
        var start = 0
        while start < passed.count {
            let end = passed[start...].firstIndex { $0.stream != passed[start].stream } ?? passed.count
            let log = LogLines(
                machine: identity.machine, at: passed[start].at, stream: passed[start].stream,
                lines: passed[start..<end].map(\.text))
            start = end
            let message = Message(
                topic: identity.topics.log(group: identity.group, machine: identity.machine), payload: log.encoded(),
                qos: .atMostOnce)
            work.append { [connection] in try? await connection.publish(message) }
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
