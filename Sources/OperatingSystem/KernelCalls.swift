package import Glibc

/// Calls of glibc 2.36 that Swift's `Glibc` module does not show, since it is compiled without `_GNU_SOURCE`.
///
/// Looked up by name once; a C library that lacks one gives nil, never a crash.
package enum KernelCalls {
    private typealias PidfdOpen = @convention(c) (pid_t, CUnsignedInt) -> CInt
    private typealias PidfdSendSignal = @convention(c) (CInt, CInt, UnsafeMutableRawPointer?, CUnsignedInt) -> CInt
    private typealias AddCloseFrom = @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, CInt) -> CInt

    /// `POSIX_SPAWN_SETSID` of `<spawn.h>`.
    package static let spawnInNewSession: Int16 = 0x80

    /// A descriptor that means this very process, even after its number is given to another; nil where there is no such process.
    package static func pidfd(_ process: pid_t) -> CInt? {
        // What dlsym gives has the type that <sys/pidfd.h> declares.
        guard let call = dlsym(nil, "pidfd_open").map({ unsafeBitCast($0, to: PidfdOpen.self) }) else { return nil }
        let descriptor = call(process, 0)
        return descriptor >= 0 ? descriptor : nil
    }

    /// Whether the signal was sent.
    package static func send(_ signal: CInt, to pidfd: CInt) -> Bool {
        guard let call = dlsym(nil, "pidfd_send_signal").map({ unsafeBitCast($0, to: PidfdSendSignal.self) })
        else { return false }
        return call(pidfd, signal, nil, 0) == 0
    }

    private typealias ProcessControl =
        @convention(c) (CInt, CUnsignedLong, CUnsignedLong, CUnsignedLong, CUnsignedLong) -> CInt
    private typealias SetCapabilities = @convention(c) (UnsafeMutableRawPointer, UnsafeRawPointer) -> CInt

    /// prctl(2), which takes a variable number of arguments and is therefore not in Swift's module.
    package static func control(_ option: CInt, _ first: UInt = 0, _ second: UInt = 0) -> Bool {
        guard let call = dlsym(nil, "prctl").map({ unsafeBitCast($0, to: ProcessControl.self) }) else { return false }
        return call(option, first, second, 0, 0) >= 0
    }

    /// capset(2) of this process: effective, permitted and inheritable alike.
    package static func setCapabilities(_ mask: UInt64) -> Bool {
        guard let call = dlsym(nil, "capset").map({ unsafeBitCast($0, to: SetCapabilities.self) }) else { return false }
        // _LINUX_CAPABILITY_VERSION_3 and process 0, which is the caller; then the three sets, low halves first.
        var header: (UInt32, Int32) = (0x2008_0522, 0)
        let (low, high) = (UInt32(truncatingIfNeeded: mask), UInt32(truncatingIfNeeded: mask >> 32))
        var sets = (low, low, low, high, high, high)
        return withUnsafeMutableBytes(of: &header) { header in
            withUnsafeBytes(of: &sets) { sets in
                guard let header = header.baseAddress, let sets = sets.baseAddress else { return false }
                return call(header, sets) == 0
            }
        }
    }

    /// Has the child close every descriptor from `first` on.
    package static func closeDescriptors(from first: CInt, in actions: inout posix_spawn_file_actions_t) -> Bool {
        guard
            let call = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np")
                .map({ unsafeBitCast($0, to: AddCloseFrom.self) })
        else { return false }
        return call(&actions, first) == 0
    }
}

/// What errno's value means, for people.
package func systemMessage(_ number: CInt) -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    // Unlike strerror, safe on every thread.
    guard strerror_r(number, &buffer, buffer.count) == 0 else { return "error \(number)" }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
