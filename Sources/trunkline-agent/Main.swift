import Agent
import Glibc

@main
struct Main {
    static func main() async {
        exit(await Agent.main(CommandLine.arguments.dropFirst()))
    }
}
