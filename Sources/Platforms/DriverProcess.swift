import Fleet
import Logging
import Subprocess
import SystemPackage

/// One life of a driver program.
enum DriverProcess {
    private enum Failure: Error { case lineTooLong }

    /// Runs the driver until it ends or the task is cancelled; says how it ended, for people.
    static func run(_ platform: ExecPlatform) async -> String {
        let teardown: [TeardownStep] = [.gracefulShutDown(allowedDurationToNextStep: .seconds(5))]
        var options = PlatformOptions()
        // Ctrl-C at the manager's terminal is the manager's to handle: it still has requests for the driver.
        options.createSession = true
        options.teardownSequence = teardown
        var environment = Environment.inherit.updating(["TRUNKLINE_MASTER_KEY": nil, "TRUNKLINE_TOKEN": nil])
        for (name, value) in platform.environment {
            guard let key = Environment.Key(rawValue: name) else { continue }
            environment = environment.updating([key: value])
        }
        do {
            let result = try await Subprocess.run(
                .path(FilePath(platform.driver)), environment: environment, platformOptions: options,
                input: .inputWriter, output: .sequence, error: .sequence
            ) { execution in
                let (lines, input) = AsyncStream<[UInt8]>.makeStream()
                platform.connected(input)
                defer { input.finish() }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        for await line in lines {
                            // A driver that takes no more is at its end; how it ended says more than a broken pipe.
                            do { _ = try await execution.standardInputWriter.write(line) } catch { return }
                        }
                    }
                    group.addTask { try await log(execution.standardError, platform) }
                    group.addTask { try await receive(execution.standardOutput, platform) }
                    // Whichever ends first, the conversation is over. The outputs end with the process, whoever else holds
                    // them, and the error of the first task is what is thrown.
                    let first = await group.nextResult()
                    input.finish()
                    await execution.teardown(using: teardown)
                    while await group.nextResult() != nil {}
                    try first?.get()
                }
            }
            return "ended: \(result.terminationStatus)"
        } catch Failure.lineTooLong {
            return "wrote a line of more than \(LineSplitter.longestAnswer) bytes and was ended"
        } catch {
            return "failed: \(error)"
        }
    }

    private static func receive(_ output: SubprocessOutputSequence, _ platform: ExecPlatform) async throws {
        var splitter = LineSplitter(limit: LineSplitter.longestAnswer)
        for try await buffer in output {
            do {
                for line in try splitter.lines(adding: buffer.withUnsafeBytes { Array($0) }) { platform.received(line) }
            } catch {
                throw Failure.lineTooLong
            }
        }
    }

    private static func log(_ output: SubprocessOutputSequence, _ platform: ExecPlatform) async throws {
        var splitter = LineSplitter()
        for try await buffer in output {
            let bytes = buffer.withUnsafeBytes { Array($0) }
            guard let lines = try? splitter.lines(adding: bytes) else {
                splitter = LineSplitter()
                continue
            }
            for line in lines where !line.isEmpty {
                platform.logger.info(
                    "\(String(decoding: line.prefix(2000), as: UTF8.self).forPeople())",
                    metadata: ["driver": "\(platform.driver)"])
            }
        }
    }
}
