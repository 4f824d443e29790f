import Fleet
import Glibc
import Logging
import OperatingSystem
import ServiceLifecycle
import Synchronization
import UnixSignals

/// What is in force of what may change while the manager runs.
final class LiveConfiguration: Sendable {
    private let state: Mutex<ManagerConfiguration.Live>
    /// The newest one, and at first the one at the start; one reader.
    let webhooks: AsyncStream<WebhookSettings?>
    private let webhook: AsyncStream<WebhookSettings?>.Continuation

    init(_ start: ManagerConfiguration.Live) {
        state = Mutex(start)
        // Only the newest counts.
        (webhooks, webhook) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        webhook.yield(start.webhook)
    }

    var value: ManagerConfiguration.Live { state.withLock { $0 } }

    func set(_ new: ManagerConfiguration.Live) {
        let old = state.withLock { state in
            defer { state = new }
            return state
        }
        if old.webhook != new.webhook { webhook.yield(new.webhook) }
    }

    /// Delivers by one webhook at a time until it is cancelled: the next begins where the last one stopped.
    func deliver(_ run: @escaping @Sendable (WebhookSettings) async -> Void) async {
        var running: Task<Void, Never>?
        for await settings in webhooks {
            running?.cancel()
            await running?.value
            running = settings.map { settings in Task { await run(settings) } }
        }
        running?.cancel()
        await running?.value
    }

    /// Reads the configuration again at each SIGHUP until it is cancelled.
    ///
    /// - Parameter read: what is in force from now on; nil: everything stays as it is.
    func follow(_ service: ServiceManager, read: @escaping @Sendable () -> ManagerConfiguration.Live?) async {
        let hadTerminal = Self.hasTerminal
        for await _ in await UnixSignalsSequence(trapping: .sighup) {
            // The kernel's word that the terminal was closed from which the manager was started: it ends as it always did, but in order.
            if hadTerminal, !Self.hasTerminal {
                kill(getpid(), SIGTERM)
                return
            }
            service.say("RELOADING=1\nMONOTONIC_USEC=\(KernelClock.monotonicMicroseconds)")
            if let new = read() { set(new) }
            service.say("READY=1")
        }
    }

    private static var hasTerminal: Bool {
        let descriptor = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC)
        if descriptor >= 0 { close(descriptor) }
        return descriptor >= 0
    }
}

extension ServiceManager {
    /// Says that the manager is alive for as long as its serial room takes its turns, until it is cancelled.
    func watch(_ control: Control) async {
        guard let pause = watchdogMicroseconds else { return }
        repeat {
            await control.takeTurn()
            say("WATCHDOG=1")
        } while (try? await Task.sleep(for: .microseconds(pause))) != nil
    }
}

extension Control {
    /// Returns once everybody who came before had a turn.
    fileprivate func takeTurn() {}
}
