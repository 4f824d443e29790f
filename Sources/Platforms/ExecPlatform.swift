package import Fleet
package import Logging

import Dispatch
import Foundation
import Synchronization

/// Machines that a driver program provides: JSON lines on its standard input and output (`Config/platforms/README.md`).
///
/// The driver is started by `start` or with the first request, and started again, after a growing pause, whenever it ends.
package final class ExecPlatform: MachinePlatform {
    let name: String
    let driver: String
    let environment: [String: String]
    let logger: Logger
    private let timeout: Duration
    private let state = Mutex(State())
    private let continuation: AsyncStream<PlatformEvent>.Continuation
    /// Bounded by 65,536 events that nobody has read yet; of an older one that is dropped, the next list tells.
    package let events: AsyncStream<PlatformEvent>

    private struct Pending {
        var continuation: CheckedContinuation<Result<DriverLine, PlatformError>, Never>
        /// Whether the driver may know of the request.
        var isSent = false
    }

    private struct State {
        var nextID = 0
        var pending: [Int: Pending] = [:]
        /// Whether a life of it has ended, or could not begin.
        var hasEnded = false
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
        name: String, driver: String, environment: [String: String] = [:], timeout: TimeSpan = .seconds(60),
        logger: Logger
    ) {
        // Writing to a driver that has died is an error like any other, not the end of the manager.
        _ = Self.brokenPipesAreErrors
        self.name = name
        self.driver = driver
        self.environment = environment
        self.timeout = timeout.duration
        self.logger = logger
        (events, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(65_536))
    }

    /// Runs the driver from now on, so that it can say what happened while no manager asked.
    package func start() { state.withLock { superviseIfNeeded(&$0) } }

    private func superviseIfNeeded(_ state: inout State) {
        guard !state.closed, state.supervision == nil else { return }
        state.supervision = Task { [weak self] in await self?.supervise() }
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
        failAll("The driver \(driver) was closed.")
        continuation.finish()
    }

    package func launch(_ request: LaunchRequest) async throws(PlatformError) {
        _ = try await ask { DriverRequest(id: $0, launching: request) }
    }

    package func release(_ machine: String) async throws(PlatformError) {
        _ = try await ask { DriverRequest(id: $0, op: .release, machine: machine) }
    }

    package func list() async throws(PlatformError) -> PlatformListing {
        let answer = try await ask { DriverRequest(id: $0, op: .list) }
        guard let machines = answer.machines else {
            throw PlatformError(.failed, "The driver \(driver) answered list without machines.")
        }
        return PlatformListing(
            running: Set(machines.filter { Name.isValid($0) }),
            remains: Set((answer.ended ?? []).filter { Name.isValid($0) }))
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
                state.pending[id] = Pending(continuation: continuation, isSent: state.input != nil)
                if let input = state.input { input.yield(line) } else { state.queued.append((id, line)) }
                superviseIfNeeded(&state)
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
        let (garbage, isSent) = state.withLock { ($0.garbage, $0.pending[id]?.isSent ?? true) }
        guard isSent else {
            let message = "The driver \(driver) does not run, and \(operation.rawValue) waited for it in vain."
            return finish(id, .failure(PlatformError(.failed, message)))
        }
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
        waiting?.continuation.resume(returning: result)
    }

    /// Every request without an answer fails: of one that the driver may have seen, nobody knows what comes of it.
    private func failAll(_ message: String) {
        let waiting = state.withLock { state in
            defer { (state.pending, state.queued) = ([:], []) }
            return Array(state.pending.values)
        }
        for waiting in waiting {
            let error = PlatformError(waiting.isSent ? .unknownOutcome : .failed, message)
            waiting.continuation.resume(returning: .failure(error))
        }
    }

    private func refusal(_ line: DriverLine) -> PlatformError {
        let error = (line.error ?? "it gave no reason").forPeople(atMost: 1000)
        return line.uncertain == true
            ? PlatformError(.unknownOutcome, "The driver \(driver) does not know what comes of it: \(error)")
            : PlatformError(.failed, "The driver \(driver) refused: \(error)")
    }

    // MARK: - The driver's life

    private func supervise() async {
        var failures = 0
        while !Task.isCancelled {
            let started = ContinuousClock.now
            let how = await DriverProcess.run(self)
            state.withLock { ($0.input, $0.hasEnded) = (nil, true) }
            guard !Task.isCancelled else { break }
            // One that lived for a while starts anew without a pause.
            failures = ContinuousClock.now - started > .seconds(60) ? 0 : failures + 1
            let pause = Self.pause(afterFailures: failures)
            logger.error(
                "a driver ended and is started again",
                metadata: ["driver": "\(driver)", "how": "\(how)", "in": "\(pause)"])
            failAll("The driver \(driver) \(how); it is started again in \(pause).")
            try? await Task.sleep(for: pause)
        }
    }

    static func pause(afterFailures failures: Int) -> Duration {
        .milliseconds(failures == 0 ? 0 : min(30_000, 100 << min(failures, 12)))
    }

    /// The driver runs: what waited is written to it, in order.
    func connected(_ input: AsyncStream<[UInt8]>.Continuation) {
        let isBack = state.withLock { state in
            state.input = input
            for (id, line) in state.queued {
                input.yield(line)
                state.pending[id]?.isSent = true
            }
            state.queued = []
            defer { state.hasEnded = false }
            return state.hasEnded
        }
        if isBack { continuation.yield(.driverBack(name)) }
    }

    /// Takes one line of the driver's standard output.
    func received(_ bytes: [UInt8]) {
        guard !bytes.allSatisfy({ $0 == 32 || $0 == 13 || $0 == 9 }) else { return }
        guard let line = try? JSONDecoder().decode(DriverLine.self, from: Data(bytes)) else {
            let garbage = String(decoding: bytes.prefix(200), as: UTF8.self).forPeople(atMost: 300)
            state.withLock { $0.garbage = garbage }
            logger.warning(
                "a driver wrote what is not a line of the protocol",
                metadata: ["driver": "\(driver)", "line": "\(garbage)"])
            return
        }
        if line.event == "gone", let machine = line.machine, Name.isValid(machine) {
            let reason = (line.reason ?? "the driver says so").forPeople(atMost: 500)
            continuation.yield(.gone(machine: machine, platform: .exec(name), reason: reason))
        } else if let id = line.id, let ok = line.ok {
            finish(id, ok ? .success(line) : .failure(refusal(line)))
        } else {
            logger.warning("a driver wrote a line with no meaning here", metadata: ["driver": "\(driver)"])
        }
    }
}
