import Dispatch
import Glibc

/// Turns SIGTERM, SIGINT and SIGHUP into calls on a queue; nothing runs in a signal handler.
final class StopSignals {
    private var sources: [any DispatchSourceSignal] = []

    init(_ body: @escaping @Sendable () -> Void) {
        signal(SIGPIPE, SIG_IGN)
        for number in [SIGTERM, SIGINT, SIGHUP] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: AgentQueues.timers)
            source.setEventHandler(handler: body)
            source.resume()
            sources.append(source)
        }
    }

    deinit { for source in sources { source.cancel() } }
}
