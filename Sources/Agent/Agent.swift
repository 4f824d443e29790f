import Fleet
import FoundationEssentials
import Glibc
import Logging
import Messaging
import OperatingSystem
import Synchronization

/// The machine's side: registers, receives software, runs it, reports.
///
/// ```swift
/// let status = await Agent.main(CommandLine.arguments.dropFirst())
/// ```
package enum Agent {
    package static let version = Version.text

    /// As the agent's unit says it: `ControlGroup.makeWay`.
    private static let makeWay = "make-way"

    /// Runs until SIGTERM or SIGINT. - Returns: the exit status: 0 done, 1 failed, 2 wrong usage.
    package static func main(_ arguments: some Sequence<String>) async -> Int32 {
        let arguments = Array(arguments)
        // Before anything else of the agent begins, so that it stays small.
        if arguments == [OutputWriter.mode] { return OutputWriter.main() }
        if arguments == [Launcher.argument] { return Launcher.run() }
        if arguments.first == Self.makeWay, arguments.count == 2 {
            ControlGroup.makeWay(unit: arguments[1])
            return 0
        }
        if getpid() == 1 { return InitProcess.main(arguments) }
        switch AgentArguments.parse(arguments) {
        case .help:
            print(AgentArguments.help)
            return 0
        case .version:
            print("trunkline-agent \(version)")
            return 0
        case .forget(let state):
            do throws(AgentError) {
                try await Forgetting.run(state: state)
                return 0
            } catch {
                StandardError.print("trunkline-agent: \(error)")
                return 1
            }
        case .wrong(let why):
            StandardError.print("trunkline-agent: \(why)\n\(AgentArguments.usage)")
            return 2
        case .run(let arguments):
            let logger = Logger(label: "agent") { PlainLog(label: $0, level: arguments.logLevel) }
            do {
                try await run(arguments, logger: logger)
                return 0
            } catch {
                StandardError.print("trunkline-agent: \(error)")
                guard error.code == .usage else { return error.code == .identity ? 78 : 1 }
                StandardError.print(AgentArguments.usage)
                return 2
            }
        }
    }

    private static func run(_ arguments: AgentArguments, logger: Logger) async throws(AgentError) {
        ControlGroup.enterSubgroup()
        let state = try StateDirectory(
            at: arguments.state, isolation: arguments.isolation, users: SoftwareUsers(range: arguments.users))
        if let dismissal = try Dismissal.standing(in: state, ticketFile: arguments.ticket, now: SystemClock.now) {
            try await Dismissal.endSoftware(in: state)
            return StandardError.print(
                "trunkline-agent: this machine was dismissed at \(dismissal.at): \(dismissal.reason); with a new ticket it joins again"
            )
        }
        if arguments.trial == nil, let fault = AgentStore(state: state).enter() {
            logger.error("\(fault)")
        } else if let trial = arguments.trial {
            // What this one starts is not to have it: that it closes is how the one before knows that this one is gone.
            _ = fcntl(trial, F_SETFD, FD_CLOEXEC)
            // With the agent that tries it.
            _ = KernelCalls.control(1, UInt(SIGTERM))
        }
        let identity = try Identity(
            ticketFile: arguments.ticket, state: state, now: SystemClock.now, allowsPlain: arguments.insecure,
            rejoins: arguments.rejoins)
        let sessions = SessionCounter(in: state, isExpected: DirectoryTree.exists(state.file(.order)))
        var logger = logger
        logger[metadataKey: "machine"] = "\(identity.machine)"
        if identity.ignoresTicket, let ticket = arguments.ticket {
            logger.warning(
                "the ticket \(ticket) is another than the one by which this machine is registered, and is not used: with --rejoin it is"
            )
        }
        if identity.boot == nil {
            logger.warning("INSECURE: \(identity.brokers[0]) is plain MQTT, where anybody can read and say everything")
        }
        if let user = state.software.user {
            logger.info("the software runs as user \(user), in \(state.software.root)")
        } else {
            logger.warning(
                "isolation none: the software can do all that this agent can (\(state.software.why ?? "?"))")
        }
        let passport = try Passport(identity, state: state) { identity.farewell(session: sessions.next()) }
        let connection = Connection(
            Connection.Configuration(firstPause: .seconds(1)) { passport.route(after: $0) }, logger: logger)
        // Unbounded: what comes from the broker is bounded by the connection, the rest is one answer for each piece of work.
        let (events, continuation) = AsyncStream.makeStream(of: AgentEvent.self, bufferingPolicy: .unbounded)
        let post: @Sendable (AgentEvent) -> Void = { continuation.yield($0) }
        let loop = try AgentLoop(
            identity: identity, state: state, sessions: sessions, passport: passport, connection: connection,
            stopsSoftware: arguments.stopsSoftware, trial: arguments.trial, logger: logger, post: post)
        // The next one is taken from the connection when the last one was handled: the connection's own bound holds.
        let (handled, acknowledgement) = AsyncStream.makeStream(of: Void.self)
        let isAsked = Mutex(false)
        let signals = StopSignals {
            isAsked.withLock { $0 = true }
            post(.terminate)
        }
        defer { withExtendedLifetime(signals) {} }
        let alarm = Alarm { post(.alarm) }

        await withDiscardingTaskGroup { group in
            func handOut() {
                for body in loop.work { group.addTask { await body() } }
                loop.work = []
                alarm.set(loop.deadline)
            }
            // Software first: a machine without broker and manager runs what it last was ordered to run.
            loop.begin()
            handOut()
            // Not later: a service manager ends what is not ready in its time, and the network may take longer than that.
            loop.service.say("READY=1")
            group.addTask { await connection.run() }
            group.addTask {
                var acknowledgements = handled.makeAsyncIterator()
                for await event in connection.events {
                    post(.connection(event))
                    await acknowledgements.next()
                }
            }
            for await event in events {
                if case .alarm = event { alarm.rang() }
                loop.handle(event)
                handOut()
                if case .connection = event { acknowledgement.yield() }
                if loop.isFinished { break }
            }
            acknowledgement.finish()
            // What still has processes stays.
            loop.groups?.machine.remove()
            await connection.close(farewell: farewell(loop))
            group.cancelAll()
        }
        if let successor = loop.successor {
            let handover = Handover(
                successor: successor, store: loop.agents, logger: logger, service: loop.service
            ) { isAsked.withLock { $0 } }
            if handover.run(), arguments.stopsSoftware { try await Dismissal.endSoftware(in: state) }
        }
        if let reason = loop.dismissal {
            StandardError.print(
                "trunkline-agent: \(identity.machine) is not wanted in group \(identity.group) any more: \(reason); its software was stopped, its data is kept"
            )
        }
    }

    /// A clean goodbye suppresses the will, so the same words are said as the last ones; of whoever is dismissed nothing stays.
    private static func farewell(_ loop: AgentLoop) -> [Message] {
        guard loop.mayReport, loop.passport.way != .boot else { return [] }
        // The next one speaks at once: nobody is away.
        guard loop.successor == nil, loop.trial == nil else { return [] }
        let away = loop.identity.farewell(session: loop.sessions.current)
        guard loop.dismissal != nil else { return [away] }
        return [Message(topic: away.topic, payload: .init(), retained: true)]
    }
}
