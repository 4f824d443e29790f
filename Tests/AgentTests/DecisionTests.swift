import Fleet
import Logging
import Testing

@testable import Agent

@Suite("What the agent decides without I/O")
struct DecisionTests {
    @Test("Only a higher generation is accepted, and nothing from a word that is older than what was heard")
    func gate() {
        func verdict(_ generation: Int, _ epoch: Int = 2, _ issue: Int = 5) -> OrderGate.Verdict {
            OrderGate.verdict(
                generation: generation, issue: Issue(epoch: epoch, number: issue), accepted: 7,
                heard: Issue(epoch: 2, number: 5))
        }
        #expect(verdict(8) == .accept && verdict(8, 2, 6) == .accept && verdict(8, 3, 0) == .accept)
        #expect(verdict(7) == .repeated && verdict(6) == .outdated)
        #expect(verdict(8, 2, 4) == .oldWord && verdict(7, 2, 4) == .oldWord && verdict(8, 1, 9) == .oldWord)
    }

    @Test("The registration is repeated after 1, 2, 4… seconds, at most five minutes, a quarter more or less")
    func registration() {
        for (jitter, share) in [(0.0, 0.75), (1.0, 1.25)] {
            var registration = Registration(done: false)
            var now = TimeSpan.seconds(100)
            registration.subscribed(now: now)
            var pauses: [Double] = []
            for _ in 0..<11 {
                #expect(registration.due(now: now, jitter: jitter) == true)
                guard let next = registration.deadline else { break }
                #expect(registration.due(now: next - .milliseconds(1), jitter: jitter) == false)
                pauses.append(Double((next - now).milliseconds) / share / 1000)
                now = next
            }
            #expect(pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300])
            registration.answered()
            #expect(!registration.due(now: now + .seconds(1000), jitter: jitter) && registration.deadline == nil)
        }
    }

    @Test("A lost connection does not shorten the pauses of the registration, and nothing is sent meanwhile")
    func registrationOffline() {
        var registration = Registration(done: false)
        registration.subscribed(now: .zero)
        #expect(registration.due(now: .zero, jitter: 0.5) == true)
        registration.disconnected()
        #expect(registration.deadline == nil && !registration.due(now: .seconds(60), jitter: 0.5))
        registration.subscribed(now: .seconds(60))
        #expect(registration.due(now: .seconds(60), jitter: 0.5) == true)
        #expect(registration.deadline == .seconds(62))
    }

    @Test("New parts are reported at every eighth, or 50 ms after the first that was not")
    func receiver() {
        var receiver = Receiver(count: 40, have: PartRanges(), now: .zero)
        for index in 0..<7 { receiver.took(index, now: .milliseconds(Int64(1 + index))) }
        #expect(receiver.reported.isEmpty && receiver.deadline == .milliseconds(51))
        receiver.took(7, now: .milliseconds(8))
        #expect(receiver.reported == PartRanges(upTo: 8))
        receiver.took(9, now: .milliseconds(20))
        // Slow parts do not put it off.
        receiver.took(10, now: .milliseconds(69))
        #expect(receiver.reported.count == 8 && receiver.deadline == .milliseconds(70))
        receiver.due(now: .milliseconds(70))
        #expect(receiver.reported.description == "0-7,9-10" && !receiver.mustRepeat)
        #expect(!receiver.wants(9) && receiver.wants(8) && !receiver.wants(40) && !receiver.wants(-1))
        // What was found on the machine is said at once.
        receiver.found(PartRanges(upTo: 40), now: .milliseconds(80))
        #expect(receiver.reported == PartRanges(upTo: 40) && receiver.isComplete && receiver.deadline == nil)
    }

    @Test("What lacks is said again when no part comes")
    func quiet() {
        var receiver = Receiver(count: 2, have: PartRanges(upTo: 1), now: .zero)
        receiver.due(now: Receiver.quiet - .milliseconds(1))
        #expect(!receiver.mustRepeat)
        receiver.due(now: Receiver.quiet)
        #expect(receiver.mustRepeat && receiver.deadline == Receiver.quiet * 2)
    }

    @Test("A status goes out at a change, for an order, and as a heartbeat; one at a time")
    func reporter() {
        var reporter = Reporter()
        var report = Report(state: .running, order: 1)
        #expect(reporter.due(report, now: .zero) == nil)
        reporter.connected(session: 3)
        #expect(reporter.due(report, now: .zero) ?? (0, 0) == (3, 1))
        report.order = 2
        #expect(reporter.due(report, now: .zero) == nil, "one is under way")
        reporter.published(session: 3, well: true, now: .zero)
        #expect(reporter.due(report, now: .zero) ?? (0, 0) == (3, 2))
        reporter.published(session: 3, well: true, now: .zero)
        #expect(reporter.due(report, now: .seconds(9)) == nil && reporter.deadline == .seconds(10))
        #expect(reporter.due(report, now: .seconds(10)) ?? (0, 0) == (3, 3))
        reporter.published(session: 3, well: false, now: .seconds(10))
        #expect(reporter.due(report, now: .seconds(10)) == nil)
        #expect(reporter.due(report, now: .seconds(11)) ?? (0, 0) == (3, 4))
        reporter.published(session: 3, well: true, now: .seconds(11))
        reporter.owe()
        #expect(reporter.due(report, now: .seconds(11)) ?? (0, 0) == (3, 5))
        // Subscribing twice in a session must not make the numbers begin again.
        reporter.connected(session: 3)
        #expect(reporter.due(report, now: .seconds(12)) ?? (0, 0) == (3, 6))
    }

    @Test("Metrics are `name number` lines, a bounded amount of them")
    func metrics() {
        let text = "calls 3\nload 0.5\n\nnan nan\nA 1\ncalls x\none two 3\ninfinite inf\nbytes_in 1e3\r\n"
        #expect(Check.metrics(from: text).metrics == ["calls": 3, "load": 0.5, "bytes_in": 1000])
        let many = (0..<1000).map { "m\($0) 1" }.joined(separator: "\n")
        let found = Check.metrics(from: many + "\nm0 2\nm999 2")
        #expect(found.metrics.count == Check.mostMetrics && found.leftOut == 1000 - Check.mostMetrics)
        #expect(found.metrics["m0"] == 2)
    }

    @Test("At most 50 lines a second pass, and what was left out is told")
    func lineLimit() {
        var limit = LineLimit(perSecond: 50)
        func line(_ text: String, _ stream: LogStream = .stdout) -> LogLine {
            LogLine(at: Timestamp(milliseconds: 5), stream: stream, text: text)
        }
        let lines = (0..<80).map { line("\($0)") }
        #expect(limit.pass(lines, uptimeMilliseconds: 1000) == Array(lines.prefix(50)))
        #expect(limit.pass([line("more")], uptimeMilliseconds: 1999) == [])
        #expect(
            limit.pass([line("again")], uptimeMilliseconds: 2000)
                == [line("(31 lines were not sent: see the machine's own file)", .agent), line("again")])
        #expect(limit.pass([], uptimeMilliseconds: 2100) == [])
    }

    @Test("The command line takes values as words of their own and after `=`")
    func arguments() {
        #expect(
            AgentArguments.parse(["--ticket=t", "--state", "s", "--log-level=debug"])
                == .run(AgentArguments(ticket: "t", state: "s", logLevel: .debug)))
        #expect(AgentArguments.parse(["--state", "s"]) == .run(AgentArguments(ticket: nil, state: "s")))
        #expect(
            AgentArguments.parse(["--stop-software", "--state", "s"])
                == .run(AgentArguments(ticket: nil, state: "s", stopsSoftware: true)))
        #expect(AgentArguments.parse(["--state", "s", "--help"]) == .help)
        #expect(AgentArguments.parse(["--version"]) == .version)
    }

    @Test("Only program code that comes from files is given back")
    func memoryMap() {
        let code = Memory.code("5590cec74000-5590cfcb5000 r-xp 00001000 fe:00 123 /usr/bin/agent")
        #expect(code?.start == 0x5590_cec7_4000 && code?.length == 0x104_1000)
        #expect(Memory.code("5590cfcb5000-5590cfd24000 r--p 00001000 fe:00 123 /usr/bin/agent") == nil)
        #expect(Memory.code("7ffd1000-7ffd2000 r-xp 00000000 00:00 0 [vdso]") == nil)
        #expect(Memory.code("7ffd2000-7ffd1000 r-xp 00000000 00:00 0 /a") == nil && Memory.code("") == nil)
    }
}
