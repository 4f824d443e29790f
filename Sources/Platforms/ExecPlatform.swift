package import Fleet
package import Logging

import Dispatch
import Foundation
import Synchronization

/// Machines that a driver program provides: JSON lines on its standard input and output (`Config/platforms/README.md`).
///
/// The driver is started with the first request and started again, after a growing pause, whenever it ends.
package final class ExecPlatform: MachinePlatform {
    let driver: String
    let environment: [String: String]
    let logger: Logger
    private let timeout: Duration
    private let state = Mutex(State())
    private let continuation: AsyncStream<PlatformEvent>.Continuation
    package let events: AsyncStream<PlatformEvent>

    private struct State {
        var nextID = 0
        var pending: [Int: CheckedContinuation<Result<DriverLine, PlatformError>, Never>] = [:]
        /// Where lines to the driver go; nil while none runs.
        var input: AsyncStream<[UInt8]>.Continuation?
        /// Requests that wait for the driver to start.
        var queued: [(id: Int, line: [UInt8])] = []
        /// Keeps a driver running; owned by this platform, ended by `close`.
        var supervision: Task<Void, Never>?
        /// The beginning of the last line that was none of the protocol, for the error message of who waits in vain.
        var garbage: String?
        var closed = false
    }

    /// For the whole process, set once; children get the default back.
    private static let brokenPipesAreErrors: Void = { _ = signal(SIGPIPE, SIG_IGN) }()

    /// Starts nothing yet.
    package init(
        driver: String, environment: [String: String] = [:], timeout: TimeSpan = .seconds(60), logger: Logger
    ) {
        // Writing to a driver that has died is an error like any other, not the end of the manager.
        _ = Self.brokenPipesAreErrors
        self.driver = driver
        self.environment = environment
        self.timeout = timeout.duration
        self.logger = logger
        (events, continuation) = AsyncStream.makeStream()
    }

    /// Ends the driver: first its input, then SIGTERM, then SIGKILL. What happens to its machines is its own to decide.
    package func close() async {
        let supervision = state.withLock { state in
            state.closed = true
            defer { state.supervision = nil }
            return state.supervision
        }
        supervision?.cancel()
        await supervision?.value
        failAll(PlatformError(.failed, "The driver \(driver) was closed."))
        continuation.finish()
    }

    package func launch(_ request: LaunchRequest) async throws(PlatformError) {
        _ = try await ask { DriverRequest(id: $0, launching: request) }
    }

    package func release(_ machine: String) async throws(PlatformError) {
        _ = try await ask { DriverRequest(id: $0, op: .release, machine: machine) }
    }

    package func list() async throws(PlatformError) -> [String] {
        let machines = try await ask { DriverRequest(id: $0, op: .list) }.machines
        guard let machines else { throw PlatformError(.failed, "The driver \(driver) answered list without machines.") }
        return machines.filter { Name.isValid($0) }
    }

    private func ask(_ request: (Int) -> DriverRequest) async throws(PlatformError) -> DriverLine {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        let request = request(id)
        let line = try request.line()
        guard line.count <= LineSplitter.longest else {
            throw PlatformError(.invalid, "The request to the driver is longer than \(LineSplitter.longest) bytes.")
        }
        let result = await withCheckedContinuation { continuation in
            let accepted = state.withLock { state in
                guard !state.closed else { return false }
                state.pending[id] = continuation
                if let input = state.input { input.yield(line) } else { state.queued.append((id, line)) }
                if state.supervision == nil { state.supervision = Task { [weak self] in await self?.supervise() } }
                return true
            }
            guard accepted else {
                continuation.resume(returning: .failure(PlatformError(.failed, "The driver \(driver) was closed.")))
                return
            }
            DispatchQueue.global().asyncAfter(deadline: .now() + timeout.forDispatch) { [weak self] in
                self?.outOfTime(id, request.op)
            }
        }
        return try result.get()
    }

    private func outOfTime(_ id: Int, _ operation: DriverRequest.Operation) {
        let garbage = state.withLock { $0.garbage }
        let hint =
            garbage.map { "it last wrote what is no line of the protocol: \($0)" }
            ?? "look at its output in the manager's log."
        let message = "The driver \(driver) did not answer \(operation.rawValue) in time; \(hint)"
        finish(id, .failure(PlatformError(.timedOut, message)))
    }

    private func finish(_ id: Int, _ result: Result<DriverLine, PlatformError>) {
        let waiting = state.withLock { state in
            state.queued.removeAll { $0.id == id }
            return state.pending.removeValue(forKey: id)
        }
        waiting?.resume(returning: result)
    }

    /// Every request without an answer fails.
    private func failAll(_ error: PlatformError) {
        let waiting = state.withLock { state in
            defer { (state.pending, state.queued) = ([:], []) }
            return Array(state.pending.values)
        }
        for waiting in waiting { waiting.resume(returning: .failure(error)) }
    }

    // MARK: - The driver's life

    private func supervise() async {
        var failures = 0
        while !Task.isCancelled {
            let started = ContinuousClock.now
            let how = await DriverProcess.run(self)
            state.withLock { $0.input = nil }
            guard !Task.isCancelled else { break }
            // One that lived for a while starts anew without a pause.
            failures = ContinuousClock.now - started > .seconds(60) ? 0 : failures + 1
            let pause = Self.pause(afterFailures: failures)
            logger.error(
                "a driver ended and is started again",
                metadata: ["driver": "\(driver)", "how": "\(how)", "in": "\(pause)"])
            failAll(PlatformError(.failed, "The driver \(driver) \(how); it is started again in \(pause)."))
            try? await Task.sleep(for: pause)
        }
    }

    static func pause(afterFailures failures: Int) -> Duration {
        .milliseconds(failures == 0 ? 0 : min(30_000, 100 << min(failures, 12)))
    }

    /// The driver runs: what waited is written to it, in order.
    func connected(_ input: AsyncStream<[UInt8]>.Continuation) {
        state.withLock { state in
            state.input = input
            for (_, line) in state.queued { input.yield(line) }
            state.queued = []
        }
    }

    /// Takes one line of the driver's standard output.
    func received(_ bytes: [UInt8]) {
        guard !bytes.allSatisfy({ $0 == 32 || $0 == 13 || $0 == 9 }) else { return }
        guard let line = try? JSONDecoder().decode(DriverLine.self, from: Data(bytes)) else {
            let garbage = String(decoding: bytes.prefix(200), as: UTF8.self)
            state.withLock { $0.garbage = garbage }
            logger.warning(
                "a driver wrote what is not a line of the protocol",
                metadata: ["driver": "\(driver)", "line": "\(garbage)"])
            return
        }
        if line.event == "gone", let machine = line.machine, Name.isValid(machine) {
            let reason = String((line.reason ?? "the driver says so").prefix(500))
            continuation.yield(.gone(machine: machine, reason: reason))
        } else if let id = line.id, let ok = line.ok {
            let error = String((line.error ?? "it gave no reason").prefix(1000))
            finish(id, ok ? .success(line) : .failure(PlatformError(.failed, "The driver \(driver) refused: \(error)")))
        } else {
            logger.warning("a driver wrote a line with no meaning here", metadata: ["driver": "\(driver)"])
        }
    }
}
