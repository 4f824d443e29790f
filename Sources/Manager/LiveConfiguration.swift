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
    let webhooks = NewestSettings<WebhookSettings>()
    let programs = NewestSettings<NotificationProgram>()
    let mails = NewestSettings<MailSettings>()

    init(_ start: ManagerConfiguration.Live) {
        state = Mutex(start)
        webhooks.set(start.webhook)
        programs.set(start.notifyProgram)
        mails.set(start.mail)
    }

    var value: ManagerConfiguration.Live { state.withLock { $0 } }

    func set(_ new: ManagerConfiguration.Live) {
        let old = state.withLock { state in
            defer { state = new }
            return state
        }
        if old.webhook != new.webhook { webhooks.set(new.webhook) }
        if old.notifyProgram != new.notifyProgram { programs.set(new.notifyProgram) }
        if old.mail != new.mail { mails.set(new.mail) }
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

/// The newest settings of one way by which notifications leave, and at first those at the start; one reader.
struct NewestSettings<Settings: Sendable>: Sendable {
    private let all: AsyncStream<Settings?>
    private let newest: AsyncStream<Settings?>.Continuation

    init() {
        // Only the newest counts.
        (all, newest) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Nil: nothing leaves by it.
    func set(_ settings: Settings?) { newest.yield(settings) }

    /// Delivers by one of them at a time until it is cancelled: the next begins where the last one stopped.
    func deliver(_ run: @escaping @Sendable (Settings) async -> Void) async {
        var running: Task<Void, Never>?
        for await settings in all {
            running?.cancel()
            await running?.value
            running = settings.map { settings in Task { await run(settings) } }
        }
        running?.cancel()
        await running?.value
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
