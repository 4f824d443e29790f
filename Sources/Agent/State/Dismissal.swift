import Fleet
import FoundationEssentials
import Sealing

/// That this machine is not wanted any more, as it is kept on the disk: until there is another ticket, nothing is started and nobody is
/// asked.
struct Dismissal: Codable, Sendable {
    var reason: String
    var at: Timestamp

    /// Nil where this machine was not dismissed, or its owner gave it another ticket since: then it begins anew, with new keys, beside
    /// the data of its software.
    ///
    /// - Parameter ticketFile: what the command line names.
    static func standing(
        in state: StateDirectory, ticketFile: String?, now: Timestamp
    ) throws(AgentError) -> Dismissal? {
        guard let content = try state.read(.dismissal) else { return nil }
        if let ticketFile, let given = try AtomicFile.read(ticketFile, limit: Ticket.largestFile),
            given != (try state.read(.ticket)), let ticket = try? Ticket(given, file: ticketFile), ticket.expires > now
        {
            state.forgetIdentity()
            return nil
        }
        // Whatever it says, that it is there counts.
        return (try? JSONDecoder().decode(Dismissal.self, from: content)) ?? Dismissal(reason: "?", at: now)
    }

    /// Ends what an agent that was killed before its time has left running.
    static func endSoftware(in state: StateDirectory) async throws(AgentError) {
        if let raw = try state.read(.key), let key = try? SecurityKey(rawRepresentation: raw),
            let record: ProcessRecord = try state.secretValue(from: .process, under: key)
        {
            _ = await ProcessSession.stop(record)
        }
        await ProcessSession.sweepStrays(run: state.run, user: state.software.user)
        state.remove(.process)
    }
}

extension StateDirectory {
    /// All that says who this machine was. The session goes on: a number that grows harms nobody.
    fileprivate func forgetIdentity() {
        for file in [
            File.identityCopy, .machine, .key, .statusKey, .transportKey, .certificate, .trust, .groupKeys,
            .registration, .order,
            .plan,
            .process, .ticket,
        ] {
            remove(file)
        }
        // Last: whoever is killed before goes on forgetting.
        remove(.dismissal)
    }
}
