import Client
import Fleet
import Foundation

#if canImport(Glibc)
    import Glibc
#endif

/// `trunkline watch` at a terminal: whatever happens comes in one stream, changes the screen's state, and is drawn.
struct WatchLoop {
    private enum Input: Sendable {
        case sight(TrunklineClient.Sight)
        case pulse(MachineView)
        case keys([UInt8])
        case page(machine: String, [String])
        case line(machine: String, String)
        case resized, second, draw, settled
        case stopped
        case signal(CInt)
        case ended((any Error)?)
    }

    /// Between two pictures, unless a person waits for one.
    private static let pause = TimeSpan.milliseconds(80)
    /// So long the table must show the same machines before their loads are asked for: who pages through it asks for none of them.
    private static let settling = TimeSpan.milliseconds(250)

    let client: TrunklineClient
    let group: String?
    /// Else the program's own end is somebody else's matter, and shows itself as the task's.
    var endsBySignals = true

    /// Returns where a person ended it; a signal ends the program as signals do, once the terminal is what it was.
    func run() async throws {
        let (inputs, inbox) = AsyncStream.makeStream(of: Input.self)
        let sources = ([SIGWINCH, SIGTSTP] + (endsBySignals ? [SIGINT, SIGTERM, SIGHUP, SIGQUIT] : [])).map { number in
            Self.source(number) { inbox.yield($0) }
        }
        let keys = ScreenTerminal.hasKeys ? Self.keys { inbox.yield($0) } : nil
        let watching = Task {
            do {
                for try await sight in client.watch(group: group, hasMetrics: false) { inbox.yield(.sight(sight)) }
                inbox.yield(.ended(nil))
            } catch { inbox.yield(.ended(error)) }
        }
        // Ages are of a second ago.
        let ticking = Task {
            while (try? await Task.sleep(for: .seconds(1))) != nil { inbox.yield(.second) }
        }
        defer {
            ScreenTerminal.leave()
            for source in sources { source.cancel() }
            keys?.cancel()
            watching.cancel()
            ticking.cancel()
        }
        ScreenTerminal.enter()
        if let number = try await follow(inputs, inbox) {
            ScreenTerminal.leave()
            signal(number, SIG_DFL)
            raise(number)
        }
    }

    /// The signal that ended it; nil: a person did.
    private func follow(_ inputs: AsyncStream<Input>, _ inbox: AsyncStream<Input>.Continuation) async throws -> CInt? {
        var screen = WatchScreen(group: group)
        var reading: (machine: String, task: Task<Void, Never>)?
        // Only those that are shown: of thousands a heartbeat each would be most of the work, here and at the manager.
        var wanted: [String] = []
        var (following, settling): (Task<Void, Never>?, Task<Void, Never>?)
        defer {
            reading?.task.cancel()
            following?.cancel()
            settling?.cancel()
        }
        var last: ContinuousClock.Instant?
        var isDue = false
        for await input in inputs {
            var isNow = false
            var isAnew = false
            switch input {
            case .sight(let sight): screen.take(sight)
            case .pulse(let machine): screen.take(pulse: machine)
            case .settled:
                following?.cancel()
                following = follow(wanted, inbox)
                continue
            case .keys(let bytes):
                isNow = true
                for key in Key.parse(bytes) {
                    guard let wish = screen.press(key) else { continue }
                    reading?.task.cancel()
                    switch wish {
                    case .quit: return nil
                    case .nothing: reading = nil
                    case .explain(let machine): reading = (machine, explain(machine, inbox))
                    case .logs(let machine): reading = (machine, log(of: machine, inbox))
                    }
                }
            case .page(let machine, let lines): if machine == reading?.machine { screen.show(page: lines) }
            case .line(let machine, let line): if machine == reading?.machine { screen.append(line: line) }
            case .resized: (isNow, isAnew) = (true, true)
            case .stopped:
                ScreenTerminal.leave()
                raise(SIGSTOP)
                ScreenTerminal.enter()
                (isNow, isAnew) = (true, true)
            case .second: isNow = true
            case .draw: (isNow, isDue) = (true, false)
            case .signal(let number): return number
            case .ended(let error):
                if let error { throw error }
                return nil
            }
            let now = ContinuousClock.now
            if isNow || last.map({ now - $0 >= Self.pause.duration }) ?? true {
                last = now
                let size = WatchScreen.Size(columns: Terminal.width ?? 80, rows: Terminal.height ?? 24)
                ScreenTerminal.draw(screen.lines(size), anew: isAnew)
                if screen.shown != wanted {
                    wanted = screen.shown
                    settling?.cancel()
                    settling = Self.settle(inbox)
                }
            } else if !isDue {
                isDue = true
                Task {
                    try? await Task.sleep(for: Self.pause.duration)
                    inbox.yield(.draw)
                }
            }
        }
        return nil
    }

    private static func settle(_ inbox: AsyncStream<Input>.Continuation) -> Task<Void, Never> {
        Task { if (try? await Task.sleep(for: Self.settling.duration)) != nil { inbox.yield(.settled) } }
    }

    private func follow(_ machines: [String], _ inbox: AsyncStream<Input>.Continuation) -> Task<Void, Never> {
        Task {
            guard !machines.isEmpty else { return }
            // Where it is refused the table stays as the main stream has it, which says why it ends if it does.
            do { for try await machine in client.watch(machines: machines) { inbox.yield(.pulse(machine)) } } catch {}
        }
    }

    private func explain(_ machine: String, _ inbox: AsyncStream<Input>.Continuation) -> Task<Void, Never> {
        Task {
            do {
                let lines = try await client.explain(machine).lines.filter { !$0.1.isEmpty }
                let text = lines.flatMap { label, value in
                    value.split(separator: "\n").enumerated().map { number, line in
                        (number == 0 ? label : "").padding(toLength: 9, withPad: " ", startingAt: 0)
                            + String(line).forPeople()
                    }
                }
                inbox.yield(.page(machine: machine, text))
            } catch { inbox.yield(.page(machine: machine, ["\(error)".forPeople()])) }
        }
    }

    private func log(of machine: String, _ inbox: AsyncStream<Input>.Continuation) -> Task<Void, Never> {
        Task {
            do {
                for try await line in client.followLog(ofMachine: machine, tail: 200) {
                    let time = line.at.description.dropFirst(11).prefix(8)
                    inbox.yield(.line(machine: machine, "\(line.stream.rawValue) \(time) \(line.text)".forPeople()))
                }
            } catch { inbox.yield(.line(machine: machine, "\(error)".forPeople())) }
        }
    }

    private static func source(
        _ number: CInt, _ yield: @escaping @Sendable (Input) -> Void
    ) -> any DispatchSourceSignal {
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler {
            switch number {
            case SIGWINCH: yield(.resized)
            case SIGTSTP: yield(.stopped)
            default: yield(.signal(number))
            }
        }
        source.activate()
        return source
    }

    /// Reads where there is something to read; the terminal's end is like a hangup.
    private static func keys(_ yield: @escaping @Sendable (Input) -> Void) -> any DispatchSourceRead {
        let source = DispatchSource.makeReadSource(fileDescriptor: STDIN_FILENO, queue: .global())
        source.setEventHandler {
            var buffer = [UInt8](repeating: 0, count: 256)
            let count = read(STDIN_FILENO, &buffer, buffer.count)
            if count > 0 { return yield(.keys(Array(buffer[..<count]))) }
            if count < 0, errno == EINTR || errno == EAGAIN { return }
            yield(.signal(SIGHUP))
        }
        source.activate()
        return source
    }
}
