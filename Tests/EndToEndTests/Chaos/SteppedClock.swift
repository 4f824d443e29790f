import Foundation
import Synchronization
import TestSupport

/// Makes a manager believe in another time of day, which can be stepped while it runs; its monotonic clocks are left alone.
///
/// A few lines of C, put before the C library of that one process; the toolchain's own compiler makes them.
final class SteppedClock: Sendable {
    private static let source = """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <fcntl.h>
        #include <stdlib.h>
        #include <sys/mman.h>
        #include <sys/time.h>
        #include <time.h>

        static volatile long long *offset;
        static int (*real)(clockid_t, struct timespec *);

        __attribute__((constructor)) static void begin(void)
        {
            real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
            const char *path = getenv("STEPPED_CLOCK");
            int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
            if (file < 0) return;
            void *page = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
            if (page != MAP_FAILED) offset = page;
        }

        int clock_gettime(clockid_t clock, struct timespec *time)
        {
            if (!real) begin();
            int result = real(clock, time);
            if (!result && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += *offset;
            return result;
        }

        int gettimeofday(struct timeval *time, void *zone)
        {
            struct timespec now;
            (void)zone;
            clock_gettime(CLOCK_REALTIME, &now);
            time->tv_sec = now.tv_sec;
            time->tv_usec = now.tv_nsec / 1000;
            return 0;
        }

        time_t time(time_t *result)
        {
            struct timespec now;
            clock_gettime(CLOCK_REALTIME, &now);
            if (result) *result = now.tv_sec;
            return now.tv_sec;
        }
        """

    private let file: URL
    /// What the manager's environment needs.
    let environment: [String: String]

    /// Nil where there is no compiler.
    init?(in directory: URL) throws {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let code = directory.appending(path: "clock.c")
        let library = directory.appending(path: "clock.so").path
        try Self.source.write(to: code, atomically: true, encoding: .utf8)
        let made = try Ended.run(
            URL(fileURLWithPath: "/usr/bin/env"),
            ["clang", "-shared", "-fPIC", "-O1", "-o", library, code.path, "-ldl"])
        guard made.status == 0 else { return nil }
        file = directory.appending(path: "clock.offset")
        environment = ["LD_PRELOAD": library, "STEPPED_CLOCK": file.path]
        try Data(count: 8).write(to: file)
    }

    /// By so many seconds away from the true time.
    func step(by seconds: Int64) throws {
        let handle = try FileHandle(forWritingTo: file)
        defer { try? handle.close() }
        try handle.write(contentsOf: withUnsafeBytes(of: seconds.littleEndian) { Data($0) })
    }
}
