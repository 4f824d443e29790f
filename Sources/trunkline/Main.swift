import ArgumentParser
import Fleet

/// The command line: the manager itself (`serve`, `dev`) and the client verbs.
@main
struct Trunkline: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trunkline",
        abstract: "The cloud manager for telephony fleets.",
        discussion: """
            Describe a machine group in a file, push the software that it names, apply the file and start the group:

              trunkline software push Config/software/kamailio
              trunkline group apply edge.trunk --start --wait
              trunkline watch edge

            Client verbs find the manager by --server and --token, TRUNKLINE_SERVER and TRUNKLINE_TOKEN, or the data directory's
            own file on the same machine (--data or TRUNKLINE_DATA_DIR, otherwise ./trunkline-data).
            Exit status: 0 done, 1 failed, 2 usage.
            """,
        version: Version.text,
        subcommands: [
            Serve.self, Dev.self, SoftwareCommand.self, GroupCommand.self, MachineCommand.self, SecretCommand.self,
            EventsCommand.self, WatchCommand.self, FormatCommand.self, CheckCommand.self,
        ])
}
