import Dispatch
import Fleet
import FoundationEssentials
import Glibc
import OperatingSystem

/// All processes of the session that one process leads: software is stopped and swept as a whole.
///
/// `kill -9` of a main process leaves its workers; they still answer on the port while the new instance cannot bind it.
enum ProcessSession {
    /// Those that live; zombies do not count.
    static func members(of leader: Int32) -> [Int32] {
        guard leader > 1 else { return [] }
        return ProcessTable.all()
            .filter { $0.isAlive && ($0.session == leader || $0.group == leader || $0.pid == leader) }.map(\.pid)
    }

    static func signal(_ leader: Int32, _ number: Int32) {
        guard leader > 1 else { return }
        // A daemon that was found by its user leads nothing.
        if kill(-leader, number) != 0 { kill(leader, number) }
        // Shells with job control put their children in groups of their own, within the session.
        for entry in ProcessTable.all() where entry.session == leader && entry.group != leader && entry.isAlive {
            kill(entry.pid, number)
        }
    }

    /// Signals the whole session and returns when none of it lives; after `timeout` with SIGKILL.
    ///
    /// - Returns: whether it ended without SIGKILL.
    static func stop(_ leader: Int32, signal number: Int32, timeout: TimeSpan) async -> Bool {
        signal(leader, number)
        let end = SystemClock.uptime + timeout
        var pause: Int64 = 4
        while !members(of: leader).isEmpty {
            guard SystemClock.uptime < end else {
                await sweep(leader)
                return false
            }
            await sleep(milliseconds: pause)
            pause = min(pause * 2, 64)
        }
        return true
    }

    /// Signals all of the group and returns when nothing is in it; after `timeout` with SIGKILL.
    ///
    /// - Returns: whether it ended without SIGKILL.
    static func stop(_ group: ControlGroup, signal number: Int32, timeout: TimeSpan) async -> Bool {
        group.signal(number)
        let end = SystemClock.uptime + timeout
        var pause: Int64 = 4
        while group.isPopulated {
            guard SystemClock.uptime < end else {
                await self.end(group)
                return false
            }
            await sleep(milliseconds: pause)
            pause = min(pause * 2, 64)
        }
        return true
    }

    /// Kills all of the group. A process in an uninterruptible wait is given up on after five seconds.
    static func end(_ group: ControlGroup) async {
        let end = SystemClock.uptime + .seconds(5)
        while group.isPopulated, SystemClock.uptime < end {
            group.kill()
            await sleep(milliseconds: 4)
        }
    }

    /// Returns when no process is in it any more.
    static func emptied(_ group: ControlGroup) async {
        while group.isPopulated { await sleep(milliseconds: 250) }
    }

    /// Stops what the record names, by its group or by its session.
    static func stop(_ record: ProcessRecord) async -> Bool {
        let stop = record.job.manifest.stop
        let number = number(ofSignal: stop.signal)
        if let group = record.controlGroup { return await self.stop(group, signal: number, timeout: stop.timeout) }
        guard record.process.mayHaveLeftovers else { return true }
        return await self.stop(record.process.pid, signal: number, timeout: stop.timeout)
    }

    /// Kills what has left its session: daemons, and what an agent that was killed had no time to write down.
    ///
    /// Where the software has a user of its own, that is all that runs as that user; else what still has `run` as its `TRUNKLINE_RUN`.
    static func sweepStrays(run: String, user: uid_t?) async {
        let end = SystemClock.uptime + .seconds(5)
        while SystemClock.uptime < end {
            let strays = user.map(ProcessTable.processes(of:)) ?? strays(run: run)
            guard !strays.isEmpty else { return }
            for pid in strays { kill(pid, SIGKILL) }
            await sleep(milliseconds: 4)
        }
    }

    private static func strays(run: String) -> [pid_t] {
        let needle = Array("TRUNKLINE_RUN=\(run)".utf8)
        return ProcessTable.all().filter { entry in
            guard entry.isAlive, entry.pid != getpid(), let environment = ProcessTable.environment(entry.pid) else {
                return false
            }
            return environment.split(separator: 0).contains { $0.elementsEqual(needle) }
        }
        .map(\.pid)
    }

    /// Kills until none lives. A process in an uninterruptible wait is given up on after five seconds.
    static func sweep(_ leader: Int32) async {
        let end = SystemClock.uptime + .seconds(5)
        while SystemClock.uptime < end {
            guard !members(of: leader).isEmpty else { return }
            signal(leader, SIGKILL)
            await sleep(milliseconds: 4)
        }
    }

    /// Goes on waiting in a cancelled task: what is being stopped is stopped to the end.
    private static func sleep(milliseconds: Int64) async {
        await withCheckedContinuation { continuation in
            AgentQueues.timers.asyncAfter(deadline: .now() + .milliseconds(Int(milliseconds))) { continuation.resume() }
        }
    }

    static func number(ofSignal name: String) -> Int32 {
        switch name {
        case "INT": SIGINT
        case "QUIT": SIGQUIT
        case "HUP": SIGHUP
        case "USR1": SIGUSR1
        case "USR2": SIGUSR2
        default: SIGTERM
        }
    }
}
