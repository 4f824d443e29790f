package import Fleet
package import Logging

import Foundation
import Synchronization

/// Every platform that the manager has: the local one, and one for each driver program that a group names.
package final class Platforms: Sendable {
    private let local: any MachinePlatform
    private let drivers: String?
    private let environment: [String: String]
    private let driverTimeout: TimeSpan
    private let logger: Logger
    private let state = Mutex(State())
    private let continuation: AsyncStream<PlatformEvent>.Continuation
    /// What all platforms say, for one consumer.
    package let events: AsyncStream<PlatformEvent>

    private struct State {
        var drivers: [String: ExecPlatform] = [:]
        /// Each hands on the events of one platform; owned here, ended by `close`.
        var forwarding: [Task<Void, Never>] = []
    }

    /// `directory` holds the drivers, each an executable file whose name is the driver's; nil: there are none.
    package init(
        local: any MachinePlatform, drivers directory: String?, environment: [String: String] = [:],
        driverTimeout: TimeSpan = .seconds(60), logger: Logger
    ) {
        self.driverTimeout = driverTimeout
        self.local = local
        self.drivers = directory
        self.environment = environment
        self.logger = logger
        (events, continuation) = AsyncStream.makeStream()
        forward(local.events)
    }

    /// The platform that a group's record names; the same one for the same name.
    package func platform(for platform: Fleet.Platform) throws(PlatformError) -> any MachinePlatform {
        switch platform {
        case .local: return local
        case .none:
            throw PlatformError(
                .unknown, "Nobody launches machines of a group with platform = none; invite them instead.")
        case .exec(let name):
            let path = try path(ofDriver: name)
            let (driver, isNew) = state.withLock { state in
                if let known = state.drivers[name] { return (known, false) }
                let driver = ExecPlatform(
                    name: name, driver: path, environment: environment, timeout: driverTimeout,
                    logger: logger)
                state.drivers[name] = driver
                return (driver, true)
            }
            if isNew { forward(driver.events) }
            return driver
        }
    }

    /// Starts the drivers among them, so that they say what happened before anything is asked of them. Each that can't be
    /// started, with the reason.
    package func start(_ platforms: some Sequence<Fleet.Platform>) -> [(platform: Fleet.Platform, error: PlatformError)]
    {
        Set(platforms).compactMap { platform in
            guard case .exec = platform else { return nil }
            do throws(PlatformError) { (try self.platform(for: platform) as? ExecPlatform)?.start() } catch {
                return (platform, error)
            }
            return nil
        }
    }

    /// Ends the drivers and the events.
    package func close() async {
        let (drivers, forwarding) = state.withLock { ($0.drivers.values.map { $0 }, $0.forwarding) }
        for driver in drivers { await driver.close() }
        for task in forwarding {
            task.cancel()
            await task.value
        }
        continuation.finish()
    }

    private func forward(_ events: AsyncStream<PlatformEvent>) {
        let task = Task { [continuation] in
            for await event in events { continuation.yield(event) }
        }
        state.withLock { $0.forwarding.append(task) }
    }

    /// The driver's file, which must lie in the directory, links resolved.
    private func path(ofDriver name: String) throws(PlatformError) -> String {
        guard let drivers else {
            throw PlatformError(
                .unknown, "There is no driver \(name): the manager was started without a directory of drivers.")
        }
        guard Name.isValid(name) else {
            throw PlatformError(.invalid, "\"\(name)\" is not a driver's name: a-z, 0-9 and -.")
        }
        guard let directory = resolved(drivers), let path = resolved("\(directory)/\(name)") else {
            throw PlatformError(.unknown, "There is no driver \(name) in \(drivers).")
        }
        guard path.hasPrefix(directory + "/") else {
            throw PlatformError(.invalid, "The driver \(name) is a link to a file outside of \(drivers).")
        }
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), !isDirectory.boolValue,
            FileManager.default.isExecutableFile(atPath: path)
        else { throw PlatformError(.invalid, "The driver \(path) is not an executable file; chmod +x it.") }
        return path
    }

    private func resolved(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
