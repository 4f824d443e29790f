import ArgumentParser
import Fleet
import Foundation

#if canImport(Glibc)
    import Glibc
#endif

/// The three standard streams, by their descriptors: nothing is buffered, so that a line is in the pipe when it was written, and
/// whatever comes after it.
enum Streams {
    /// To be called first. A descriptor that the caller closed would be taken by the next file or socket, which would then get
    /// what is meant for people: it is opened in the wrong direction instead, so that using it fails as it should.
    static func prepare() {
        for (descriptor, mode) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_RDONLY)]
        where fcntl(descriptor, F_GETFD) == -1 && errno == EBADF {
            _ = open("/dev/null", mode)
        }
        // A reader that went away is noticed at the write, also while nothing of SwiftNIO runs yet.
        signal(SIGPIPE, SIG_IGN)
    }

    /// All of it; 0 or the error's number.
    fileprivate static func write(_ text: String, to descriptor: CInt) -> CInt {
        let bytes = Array(text.utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                written += count
            } else if errno == EAGAIN {
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&waiting, 1, 1000)
            } else if errno != EINTR {
                return errno
            }
        }
        return 0
    }

    /// On standard output, whether or not anybody takes it.
    static func put(_ text: String) { _ = write(text, to: STDOUT_FILENO) }

    /// Everything up to its end, of a file, a pipe or `-` for standard input.
    static func read(_ file: String) throws -> Data {
        let descriptor = file == "-" ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC)
        let name = file == "-" ? "standard input" : file
        guard descriptor >= 0 else { throw Failure("\(name) can't be read: \(String(cString: strerror(errno)))") }
        defer { if descriptor != STDIN_FILENO { close(descriptor) } }
        var content = Data()
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count == 0 { return content }
            if count < 0 {
                if errno == EINTR { continue }
                throw Failure("\(name) can't be read: \(String(cString: strerror(errno)))")
            }
            content.append(contentsOf: buffer[..<count])
            guard content.count <= largest else {
                throw Failure("\(name) is larger than \(largest >> 20) MiB: it is not what this command takes")
            }
        }
    }

    /// Bytes; no record, secret or ticket is larger.
    private static let largest = 64 << 20
}

/// Data for people and programs; everything else goes to standard error.
enum StandardOutput {
    /// One line or several, which only show themselves, whoever is quoted in them.
    static func line(_ text: String) { write(text.linesForPeople + "\n") }

    /// Ends the program quietly as soon as the reader has gone: for verbs that only follow, whose next line may never come.
    static func endWithReader() {
        Thread.detachNewThread {
            // Errors and hang-ups are told without being asked for; a file has none of them.
            var output = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
            while poll(&output, 1, -1) < 0, errno == EINTR {}
            if output.revents & Int16(POLLERR | POLLHUP) != 0 { exit(0) }
        }
    }

    /// As it is, with what moves the cursor and colours.
    ///
    /// Ends the program where nobody takes its output: quietly if the reader went away, else with 1 and the reason.
    static func write(_ text: String) {
        let error = Streams.write(text, to: STDOUT_FILENO)
        guard error != 0 else { return }
        if error == EPIPE { exit(0) }
        Note.line("standard output can't be written: \(String(cString: strerror(error)))")
        exit(1)
    }
}

/// What people are told while something goes on; never on standard output.
enum Note {
    /// One line or several, which only show themselves, whoever is quoted in them.
    static func line(_ text: String) { write(text.linesForPeople + "\n") }

    /// Where nobody hears it there is nobody to tell.
    static func write(_ text: String) { _ = Streams.write(text, to: STDERR_FILENO) }
}

/// A file with something secret in it: made anew with 0600, never written over another.
enum SecretFile {
    static func write(_ text: String, to path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw Failure(
                errno == EEXIST
                    ? "\(path) is there already; remove it, or name another file"
                    : "\(path) can't be written: \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        let error = Streams.write(text, to: descriptor)
        guard error == 0, fsync(descriptor) == 0 else {
            let reason = String(cString: strerror(error == 0 ? errno : error))
            unlink(path)
            throw Failure("\(path) can't be written: \(reason)")
        }
    }
}
