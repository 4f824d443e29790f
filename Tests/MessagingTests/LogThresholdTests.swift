import Logging
import Messaging
import Testing

@Suite("How urgent a logged line must be")
struct LogThresholdTests {
    @Test("Loggers that are there already follow; one with a level of its own keeps it")
    func follows() {
        let threshold = LogThreshold(.notice)
        let logger = Logger(label: "a") { PlainLog(label: $0, threshold: threshold) }
        var own = Logger(label: "b") { PlainLog(label: $0, threshold: threshold) }
        own.logLevel = .critical
        #expect(logger.logLevel == .notice)
        threshold.level = .debug
        #expect(logger.logLevel == .debug && own.logLevel == .critical)
        threshold.level = .error
        #expect(logger.logLevel == .error)
    }
}
