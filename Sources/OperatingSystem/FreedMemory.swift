import Glibc

/// What glibc keeps of memory that was freed.
package enum FreedMemory {
    // Swift's module of Glibc has neither of them (malloc.h).
    private typealias Trim = @convention(c) (Int) -> Int32
    private typealias Option = @convention(c) (Int32, Int32) -> Int32

    /// M_ARENA_MAX (mallopt(3)).
    private static let mostArenas: Int32 = -8

    /// To be called once, first of all: a process whose work moves over many threads otherwise keeps what each of them freed, in a heap of its
    /// own.
    package static func keepLittle() {
        if let symbol = dlsym(nil, "mallopt") { _ = unsafeBitCast(symbol, to: Option.self)(mostArenas, 2) }
    }

    /// Gives whole pages back to the system. Takes milliseconds for each 100 MB, during which others wait for memory.
    package static func giveBack() {
        if let symbol = dlsym(nil, "malloc_trim") { _ = unsafeBitCast(symbol, to: Trim.self)(0) }
    }
}
