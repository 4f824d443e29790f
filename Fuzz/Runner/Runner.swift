import CFuzzer
import FuzzEntries
import Glibc

/// `trunkline-fuzz TARGET [libFuzzer's arguments]`: one program for all targets, since they share what is built.
@main struct Runner {
    /// Set once, before the driver starts: libFuzzer's callback takes nothing but the bytes.
    nonisolated(unsafe) private static var target = FuzzTarget.language

    static func main() {
        let arguments = CommandLine.arguments
        guard arguments.count > 1, let target = FuzzTarget(rawValue: arguments[1]) else {
            print("usage: trunkline-fuzz TARGET [CORPUS] [-max_total_time=60]\ntargets:")
            for target in FuzzTarget.allCases { print("  \(target.rawValue)") }
            exit(2)
        }
        Self.target = target
        // libFuzzer leaves handlers alone that are there, such as those of Swift's backtraces, and then saves no input.
        for number in [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP] { signal(number, SIG_DFL) }
        // The driver keeps pointers into its arguments: they live as long as the process.
        var passed: [UnsafeMutablePointer<CChar>?] = ([arguments[0]] + arguments.dropFirst(2)).map { strdup($0) }
        var count = CInt(passed.count)
        passed.append(nil)
        let list = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: passed.count)
        list.initialize(from: passed, count: passed.count)
        var pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = list
        exit(LLVMFuzzerRunDriver(&count, &pointer, Self.callback))
    }

    private static let callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt = { data, size in
        do {
            try Runner.target.run(Array(UnsafeBufferPointer(start: data, count: size)))
        } catch {
            print("FINDING in \(Runner.target.rawValue): \(error)")
            fflush(nil)
            // What libFuzzer takes for a crash, with the input saved.
            abort()
        }
        return 0
    }
}
