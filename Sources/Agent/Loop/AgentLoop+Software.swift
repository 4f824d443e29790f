import Fleet
import FoundationEssentials
import Glibc
import Logging
import Messaging
import OperatingSystem

/// The software: what the supervisor decides is done here.
extension AgentLoop {
    /// Takes over what an earlier agent left running, or starts what is to run, without waiting for any network.
    func begin() {
        let now = SystemClock.uptime
        watchdogAt = service.watchdogMicroseconds.map { _ in now }
        let found = process?.isAlive == true ? nil : findRunning()
        if let found { process = found }
        if isMended || found != nil { saveMended() }
        if let record = process, record.isAlive {
            logger.notice("taking over \(record.job.manifest.reference), process \(record.process.pid)")
            if let writer = record.writer { watch(writer: writer) } else { writerAt = now }
            for (file, value) in record.limits ?? [:] { _ = groups?.machine.set(file, to: value) }
            supervise(.adopt(record.job, restarts: record.restarts), now: now)
            nameProcess()
            run = max(run, 1)
            glanceAt = now
            watchEnd(of: record)
        } else if unknown == nil {
            supervise(.boot, now: now)
        }
        guard let order else { return }
        if order.generation > kept.generation { return act(on: order, now: now) }
        // An agent that is killed may have kept the one and not the other.
        if order.generation == kept.generation, order.content.action.runs { supervise(.drain(order.drains), now: now) }
    }

    /// What runs may go on for a later order than the one that it was started for.
    func nameProcess() {
        guard let job = supervisor.active, var record = process, record.job != job, record.job.runsTheSame(as: job)
        else { return }
        record.job = job
        record.restarts = supervisor.restarts
        process = record
        do { try state.saveSecret(record, to: .process, under: identity.key) } catch { logger.error("\(error)") }
    }

    func supervise(_ event: Supervisor.Event, now: TimeSpan) {
        if case .exited(let run, let how) = event, run == self.run, let process {
            logger.notice("\(process.job.manifest.reference), process \(process.process.pid), \(how)")
            // What it leaves behind would hold its ports.
            if case .up = supervisor.phase {
                if let group = process.controlGroup {
                    group.kill()
                } else {
                    ProcessSession.signal(process.process.pid, SIGKILL)
                }
            }
        }
        let before = (supervisor.state, supervisor.reason)
        for action in supervisor.handle(event, now: now) { perform(action, now: now) }
        if case .up = supervisor.phase {
        } else {
            glanceAt = nil
        }
        guard before != (supervisor.state, supervisor.reason) else { return }
        logger.info("\(supervisor.state.rawValue)\(supervisor.reason.map { ": " + $0 } ?? "")")
    }

    private func perform(_ action: Supervisor.Action, now: TimeSpan) {
        switch action {
        case .start(let job, let run): start(job, run: run)
        case .stop(let stop, let run): self.stop(stop, run: run)
        case .check(let check, let run):
            runCheck(.health, check.exec, secrets: check.secrets, timeout: check.timeout, run: run)
        case .probe(let probe, let run):
            runCheck(
                .metrics, probe.exec, secrets: probe.secrets, timeout: min(probe.every, .seconds(10)), run: run)
        case .hook(let hook, let program, let run):
            logger.notice("\(hook.rawValue): \(program.exec.joined(separator: " ").forPeople(atMost: 120))")
            runCheck(
                hook == .drain ? .drain : .undrain, program.exec, secrets: program.secrets, timeout: program.timeout,
                run: run)
        }
    }

    private func start(_ job: Job, run: Int) {
        self.run = run
        glanceAt = nil
        difference = ReleaseDifference()
        notices.withdraw(.release)
        stamp = nil
        startedAt = SystemClock.now
        let environment = environment(of: job)
        let limits = LimitPlan(job.manifest.limits, hasUser: state.software.user != nil) { [groups] in
            groups?.machine.set($0, to: $1) ?? false
        }
        if limits.unkept.isEmpty {
            notices.withdraw(.limits)
        } else {
            notices.say(.limits, "this machine cannot limit \(limits.unkept.joined(separator: " and "))")
        }
        let before = groups?.refusals ?? MachineGroups.Refusals()
        let (since, restarts, last) = (startedAt, supervisor.restarts, process)
        work.append { [state, releases, groups, pipes, post, logger, key = identity.key] in
            // A task of its own: what ends with the agent is cancelled, and the software does not end with it.
            Task {
                await Self.endAll(of: last, groups, state)
                do throws(AgentError) {
                    let prepared = await AgentQueues.onDisk { () -> Result<ReleaseStamp?, AgentError> in
                        let stamp: ReleaseStamp?
                        // Every start, so that exchanged files never run again.
                        do throws(AgentError) { stamp = try releases.prepare(job.digest) } catch {
                            return .failure(error)
                        }
                        do throws(SystemError) {
                            try ForeignTree.directory(state.log, mode: 0o700, owner: nil)
                            try state.software.makeDirectories()
                            try state.software.makeData(ofSoftware: job.manifest.name)
                            try state.software.makeRun()
                        } catch { return .failure(AgentError(.system, error.description)) }
                        return .success(stamp)
                    }
                    let stamp = try prepared.get()
                    let (output, errors) = try pipes.make()
                    var writer: ProcessIdentity?
                    // Without one it runs all the same, and what it writes waits in the pipes.
                    do throws(AgentError) { writer = try pipes.startWriter() } catch { logger.error("\(error)") }
                    let ending = try await SoftwareProcess.run(
                        job.manifest.run, in: releases.path(job.digest), environment: environment,
                        as: state.software.user, capabilities: job.manifest.capabilities ?? [],
                        group: groups?.software, limits: limits.resources, standardOutput: output, standardError: errors
                    ) { [writer] pid in
                        let record = ProcessIdentity(child: pid).map { identity in
                            ProcessRecord(
                                process: identity, job: job, since: since, restarts: restarts,
                                group: groups?.software.path, limits: limits.files, writer: writer)
                        }
                        // Here, not in the loop: the sooner it is on disk, the sooner an agent that is killed can be followed by one that knows.
                        if let record { try? state.saveSecret(record, to: .process, under: key) }
                        post(.spawned(run: run, record, stamp))
                    }
                    if ending == .exited(0), let groups, groups.software.isPopulated {
                        // As daemons do: what it started is the software.
                        post(.wentToBackground(run: run))
                        await ProcessSession.emptied(groups.software)
                    }
                    let limited = groups.flatMap {
                        LimitPlan.words(job.manifest.limits, before: before, after: $0.refusals)
                    }
                    post(.supervision(.exited(run: run, ending.description + (limited.map { "; " + $0 } ?? ""))))
                } catch {
                    post(.supervision(.startFailed(run: run, error.message)))
                }
            }
        }
    }

    func spawned(run: Int, _ record: ProcessRecord?, _ stamp: ReleaseStamp?, now: TimeSpan) {
        guard run == self.run else { return }
        // What was just looked at is read again only once it looks otherwise.
        self.stamp = stamp
        if let record {
            process = record
            if let writer = record.writer { watch(writer: writer) } else { writerAt = now + Self.writerPause }
            logger.notice("started \(record.job.manifest.reference), process \(record.process.pid)")
        }
        supervise(.started(run: run), now: now)
        if case .up = supervisor.phase { glanceAt = now + Self.glanceEvery }
    }

    private func stop(_ stop: SoftwareManifest.Stop, run: Int) {
        let last = process
        logger.notice("stopping \(last?.job.manifest.reference.description ?? "the software")")
        work.append { [state, groups, post, logger] in
            if let last, !(await ProcessSession.stop(last)) {
                logger.warning("\(last.job.manifest.reference) did not stop within \(stop.timeout): killed")
            }
            await Self.endAll(of: last, groups, state)
            state.remove(.process)
            post(.supervision(.stopped(run: run)))
        }
    }

    /// Kills what is left of the last run, whether it is known or not.
    private static func endAll(of last: ProcessRecord?, _ groups: MachineGroups?, _ state: StateDirectory) async {
        if let group = last?.controlGroup {
            await ProcessSession.end(group)
        } else if let last, last.process.mayHaveLeftovers {
            await ProcessSession.sweep(last.process.pid)
        }
        if let groups { await ProcessSession.end(groups.software) }
        // Only what ran without a group, or in one that nobody knows of, has to be searched for.
        guard last?.group == nil || groups == nil else { return }
        await ProcessSession.sweepStrays(run: state.run, user: state.software.user)
    }

    func watchEnd(of record: ProcessRecord) {
        let event = AgentEvent.supervision(.exited(run: run, SoftwareProcess.Ending.unknown.description))
        guard record.isInBackground == true, let group = record.controlGroup else {
            return ExitWatch.wait(for: record.process) { [post] in post(event) }
        }
        // A task of its own: the agent's end does not wait for it.
        Task { [post] in
            await ProcessSession.emptied(group)
            post(event)
        }
    }

    /// Its main process has ended and left what it started.
    func wentToBackground(run: Int) {
        guard run == self.run, var record = process else { return }
        logger.notice("\(record.job.manifest.reference) runs in the background")
        record.isInBackground = true
        process = record
        do { try state.saveSecret(record, to: .process, under: identity.key) } catch { logger.error("\(error)") }
    }

    private func runCheck(
        _ kind: Check.Kind, _ command: [String], secrets: [String]?, timeout: TimeSpan, run: Int
    ) {
        guard let job = supervisor.active else { return }
        var environment = environment(of: job.withholdingSecrets(but: secrets))
        environment[ProcessSession.checkVariable] = kind.word
        let directory = releases.path(job.digest)
        let limits = [job.manifest.limits?.files.map { ResourceLimit(resource: .files, value: $0) }].compactMap { $0 }
        work.append { [post, environment, groups, user = state.software.user] in
            let result = await Check.run(
                kind, command, timeout: timeout, in: directory, environment: environment, as: user,
                capabilities: job.manifest.capabilities ?? [], group: groups?.check(kind), limits: limits)
            post(.checkEnded(run: run, kind, result))
        }
    }

    func checkEnded(run: Int, _ kind: Check.Kind, _ result: Check.Result, now: TimeSpan) {
        // Of a run that is over it says nothing any more, and is often what its end looks like.
        if run == self.run, case .up = supervisor.phase { keep(checkLog.lines(kind, result)) }
        switch kind {
        case .health: supervise(.checked(run: run, failure: result.failure), now: now)
        case .drain: supervise(.hooked(run: run, .drain, failure: result.failure), now: now)
        case .undrain: supervise(.hooked(run: run, .undrain, failure: result.failure), now: now)
        case .metrics:
            let found = Check.metrics(from: result.output)
            supervise(.probed(run: run, result.failure == nil ? found.metrics : nil), now: now)
            guard found.leftOut > 0 else { return notices.withdraw(.metrics) }
            notices.say(
                .metrics, "\(found.leftOut) metrics were left out: at most \(Check.mostMetrics) are reported")
        }
    }

    private func environment(of job: Job) -> [String: String] {
        SoftwareProcess.environment(of: job, group: identity.group, machine: identity.machine, state: state)
    }

    // MARK: The files of the running release

    func glance(now: TimeSpan) {
        glanceAt = nil
        glanceBegan = now
        guard case .up = supervisor.phase, let digest = supervisor.active?.digest else { return }
        let (run, known, last) = (run, stamp, difference)
        work.append { [releases, post] in
            let (stamp, found) = await AgentQueues.onDisk { () -> (ReleaseStamp, ReleaseDifference) in
                let stamp = releases.stamp(digest)
                return (stamp, stamp == known ? last : releases.difference(digest))
            }
            post(.glanced(run: run, stamp, found))
        }
    }

    func glanced(run: Int, _ stamp: ReleaseStamp, _ found: ReleaseDifference, now: TimeSpan) {
        guard run == self.run, case .up = supervisor.phase else { return }
        var found = found
        // Software that goes on adding files is named once in a run: its reason does not change with each of them.
        if !difference.added.isEmpty, !found.added.isEmpty {
            (found.added, found.addedCount) = (difference.added, difference.addedCount)
        }
        if found != difference {
            if let words = found.words { notices.say(.release, words) } else { notices.withdraw(.release) }
            if let words = found.words, found.digest != nil { logger.error("\(words)") }
        }
        self.stamp = stamp
        difference = found
        // A release of very many files is looked at less often, so that it never takes much of a core.
        glanceAt = now + max(Self.glanceEvery, (now - glanceBegan) * 50)
    }
}
