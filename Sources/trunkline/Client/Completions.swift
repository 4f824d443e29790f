import ArgumentParser
import Client
import Fleet
import Foundation
import GroupLanguage

/// What the shell offers where a verb takes a name: what the manager has now. Nothing, and silently, where it does not answer within a
/// second.
extension CompletionKind {
    static let groups = names { try await $0.allGroups().map(\.name) }
    static let machines = names { try await $0.allMachines(group: nil).map(\.id) }
    static let software = names { try await $0.allSoftware().map { "\($0.name)@\($0.version)" } }
    static let tokens = names { try await $0.tokens().map(\.name) }
    static let secrets = names { try await $0.secrets() }

    private static func names(
        _ ask: @escaping @Sendable (TrunklineClient) async throws -> [String]
    ) -> CompletionKind {
        .custom { words, _, _ in await ManagerNames.ask(words, ask) }
    }
}

enum ManagerNames {
    private static let patience = TimeSpan.milliseconds(900)

    /// - Parameter words: the command line, which may say where the manager is.
    static func ask(
        _ words: [String], _ ask: @escaping @Sendable (TrunklineClient) async throws -> [String]
    ) async -> [String] {
        // Only options of ours, each with its value; whatever else stands there is of no interest here.
        let options = ["--server", "--token", "--trust", "--context", "--data"]
        let given = words.indices.filter { options.contains(words[$0]) && $0 + 1 < words.count }
            .flatMap { [words[$0], words[$0 + 1]] }
        guard let location = try? ManagerLocation.parse(given) else { return [] }
        return (try? await within(patience) { try await location.with { try await ask($0) } }) ?? []
    }

    /// Nil where it takes longer.
    private static func within<Answer: Sendable>(
        _ span: TimeSpan, _ body: @escaping @Sendable () async throws -> Answer
    ) async throws -> Answer? {
        try await withThrowingTaskGroup(of: Answer?.self) { tasks in
            tasks.addTask { try await body() }
            tasks.addTask {
                try await Task.sleep(for: span.duration)
                return nil
            }
            defer { tasks.cancelAll() }
            return try await tasks.next() ?? nil
        }
    }

    /// What was probably meant by a word of the command line that names nothing; nil: nothing is near.
    static func nearest(to words: [String], _ client: TrunklineClient) async -> String? {
        let known = try? await within(patience) {
            async let machines = client.allMachines(group: nil)
            async let groups = client.allGroups()
            return try await Set(machines.map(\.id) + groups.map(\.name))
        }
        guard let known else { return nil }
        for word in words where Name.isValid(word) && !known.contains(word) {
            if let near = Suggestion.nearest(to: word, among: known.sorted()) { return near }
        }
        return nil
    }
}
