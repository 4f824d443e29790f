import Fleet
import HTTPTypes
import Messaging
import Monitor
import Simulator
import Synchronization
import TestSupport
import Testing

@testable import Manager

@Suite("How often the control room is woken")
struct GatheringTests {
    @Test("Heartbeats that say nothing new wake it once in each gathering time, whatever their number; news at once")
    func heartbeats() async throws {
        try await Site.with { (site) async throws in
            try await site.rest { (ask) async throws in
                _ = try await ask.push(try site.bundle())
                _ = try await ask(.post, "/v1/groups", Site.record(count: 5, platform: "none"))
                _ = try await ask(.post, "/v1/groups/test/start")
                let ticket = try await site.control.invite(
                    to: "test", InvitationRequest(uses: 4, ttl: .hours(1)), by: Site.user)
                var machines = (0..<4).map { PaperMachine("test-xaaaaaa\($0)", ticket: ticket) }
                for index in machines.indices {
                    try await site.say(machines[index].registration(), on: machines[index].registerTopic)
                    try await site.say(machines[index].status(sequence: 1), on: machines[index].statusTopic)
                }
                let wakes = Mutex(0)
                let mailbox = site.control.mailbox
                let consumer = Task {
                    for await _ in mailbox.arrivals {
                        wakes.withLock { $0 += 1 }
                        await site.control.drain()
                    }
                }
                func heard(_ sequence: Int) async throws -> Bool {
                    try await eventually {
                        let all = await site.control.monitor.machines(of: "test")
                        return all.count == 4 && all.allSatisfy { $0.reported.status?.sequence == sequence }
                    }
                }
                #expect(try await eventually { mailbox.count == 0 })
                let (before, start) = (wakes.withLock { $0 }, ContinuousClock.now)
                for sequence in 2...60 {
                    for machine in machines {
                        site.intake.receive(
                            Message(topic: machine.statusTopic, payload: try machine.status(sequence: sequence)))
                        await site.intake.settle()
                    }
                }
                #expect(try await heard(60))
                let gathered = wakes.withLock { $0 } - before
                let most = (ContinuousClock.now - start) / Mailbox<Control.Input>.gatheringTime.duration
                #expect(gathered >= 1 && Double(gathered) <= most + 1, "of 236 heartbeats")

                let calm = wakes.withLock { $0 }
                let failed = try machines[0].status(sequence: 61, state: .failed)
                site.intake.receive(Message(topic: machines[0].statusTopic, payload: failed))
                #expect(try await eventually { wakes.withLock { $0 } > calm })
                #expect(
                    try await eventually { await site.control.monitor.machine(machines[0].id)?.state == .failed })
                mailbox.close()
                await consumer.value
            }
        }
    }

    @Test("What is not urgent waits for one wake-up, and what is urgent takes it along")
    func mailbox() async {
        let mailbox = Mailbox<Control.Input>()
        var arrivals = mailbox.arrivals.makeAsyncIterator()
        func refused(_ number: Int) -> Control.Input {
            .refused(RefusedMessage(kind: .statusRefused, group: "g", machine: "m\(number)", reason: "a wrong MAC"))
        }
        for number in 0..<100 { mailbox.put(refused(number), isUrgent: false) }
        await arrivals.next()
        #expect(mailbox.take(atMost: 1000).count == 100)
        mailbox.put(refused(0), isUrgent: false)
        mailbox.put(refused(1))
        await arrivals.next()
        #expect(mailbox.take(atMost: 1000).count == 2)
        // Taken before its time: the next is woken for all the same.
        mailbox.put(refused(2), isUrgent: false)
        await arrivals.next()
        #expect(mailbox.take(atMost: 1000).count == 1)
        mailbox.close()
    }
}
