import Foundation
import OperatingSystem
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#endif

@Suite("What a service manager is told")
struct ServiceManagerTests {
    @Test("It hears each notice on its socket, in the file system or not", arguments: [false, true])
    func notices(isAbstract: Bool) throws {
        let socket = try NoticeSocket(isAbstract: isAbstract)
        let service = ServiceManager(environment: ["NOTIFY_SOCKET": socket.path])
        #expect(service.say("READY=1") && service.say("STATUS=two words\nWATCHDOG=1"))
        #expect(socket.next() == "READY=1" && socket.next() == "STATUS=two words\nWATCHDOG=1" && socket.next() == nil)
    }

    @Test("Where there is none, or none that reads, nothing is said and nobody waits")
    func nobody() throws {
        for path in [nil, "", "relative", "/" + String(repeating: "x", count: 200), "/none/there"] {
            let service = ServiceManager(environment: path.map { ["NOTIFY_SOCKET": $0] } ?? [:])
            #expect(!service.say("READY=1"))
        }
        let socket = try NoticeSocket()
        let service = ServiceManager(environment: ["NOTIFY_SOCKET": socket.path])
        // Until the queue of what was not read is full.
        #expect((0..<100_000).contains { _ in !service.say(String(repeating: "x", count: 1000)) })
    }

    @Test("A service that is watched says so twice as often as it must, and only if it is the one that is watched")
    func watchdog() {
        func interval(_ environment: [String: String]) -> Int64? {
            ServiceManager(
                environment: environment.merging(["NOTIFY_SOCKET": "/x"]) { given, _ in given }, process: 77
            ).watchdogMicroseconds
        }
        #expect(interval(["WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "77"]) == 30_000_000)
        #expect(interval(["WATCHDOG_USEC": "60000000"]) == 30_000_000)
        #expect(interval(["WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "78"]) == nil)
        #expect(interval(["WATCHDOG_USEC": "nonsense"]) == nil && interval([:]) == nil)
        #expect(interval(["WATCHDOG_USEC": "60000000", "NOTIFY_SOCKET": ""]) == nil)
    }
}
