import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Manager

@Suite("What may change while the manager runs")
struct LiveConfigurationTests {
    private final class Course: Sendable {
        private let state = Mutex<[String]>([])
        var words: [String] { state.withLock { $0 } }
        func add(_ word: String) { state.withLock { $0.append(word) } }
    }

    @Test("There is one webhook at a time: a new one begins after the last one ended, an equal one is none")
    func webhooks() async throws {
        let live = LiveConfiguration(.init())
        let course = Course()
        func follows(_ words: [String]) async throws -> Bool {
            try await eventually { course.words == words }
        }
        let delivery = Task {
            await live.webhooks.deliver { settings in
                course.add("begin \(settings.url)")
                // Until it is cancelled.
                while (try? await Task.sleep(for: .seconds(3600))) != nil {}
                course.add("end \(settings.url)")
            }
        }
        func set(_ url: String?, secret: String = "a secret of 16 bytes") {
            var new = ManagerConfiguration.Live()
            new.webhook = url.map { WebhookSettings(url: $0, secret: Data(secret.utf8)) }
            live.set(new)
        }
        set("a")
        #expect(try await follows(["begin a"]))
        set("a")
        set("a", secret: "another of 16 bytes")
        #expect(try await follows(["begin a", "end a", "begin a"]))
        set(nil)
        #expect(try await follows(["begin a", "end a", "begin a", "end a"]))
        set("b")
        #expect(try await follows(["begin a", "end a", "begin a", "end a", "begin b"]))
        delivery.cancel()
        await delivery.value
        #expect(course.words.last == "end b")
    }
}
