import Foundation
import Glibc

/// Strangers who hold connections at a port and say nothing of use; all go with `leave`.
package final class Crowd {
    private var descriptors: [Int32] = []
    private var endless: Process?

    /// - Parameters:
    ///   - silent: say nothing at all.
    ///   - halfOpen: announce a greeting of TLS and never send it.
    ///   - endless: connect with TLS and MQTT, ask for no keep-alive, and say nothing more.
    ///   - file: whom those trust.
    package init(at port: Int, silent: Int, halfOpen: Int, endless: Int = 0, trusting file: String = "") throws {
        do {
            // First: Foundation's processes cannot have descriptors above 1,023.
            try addEndless(endless, at: port, trusting: file)
            for index in 0..<silent + halfOpen {
                let descriptor = try TCP.connect(to: port)
                descriptors.append(descriptor)
                // A record of 512 bytes that holds a ClientHello (RFC 8446 §5.1), of which one byte comes.
                let greeting: [UInt8] = [0x16, 3, 1, 2, 0, 1]
                guard index >= silent else { continue }
                guard send(descriptor, greeting, greeting.count, Int32(MSG_NOSIGNAL)) == greeting.count else {
                    throw TCP.Failure(number: errno)
                }
            }
        } catch {
            leave()
            throw error
        }
    }

    private static let endless = """
        import signal, socket, ssl, sys
        port, count, trust = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
        context = ssl.create_default_context(cafile=trust)
        kept = []
        for index in range(count):
            id = b"boot-endless%d" % index
            content = b"\\0\\4MQTT\\4\\2\\0\\0\\0" + bytes([len(id)]) + id
            connection = context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="127.0.0.1")
            connection.sendall(bytes([0x10, len(content)]) + content)
            assert connection.recv(4) == b"\\x20\\2\\0\\0"
            kept.append(connection)
        print("here", flush=True)
        signal.pause()
        """

    private func addEndless(_ count: Int, at port: Int, trusting file: String) throws {
        guard count > 0 else { return }
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/python3")
        process.arguments = ["-c", Self.endless, "\(port)", "\(count)", file]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        endless = process
        let said = try output.fileHandleForReading.read(upToCount: 4)
        guard said == Data("here".utf8) else { throw TCP.Failure(number: ECONNREFUSED) }
    }

    /// Of those that say nothing, whom the broker has not sent away.
    package var present: Int {
        descriptors.count { descriptor in
            var byte: UInt8 = 0
            return recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT)) < 0 && errno == EAGAIN
        }
    }

    package func leave() {
        for descriptor in descriptors { close(descriptor) }
        if let endless {
            // It has inherited that SIGTERM is blocked, as it is in Swift's threads.
            kill(endless.processIdentifier, SIGKILL)
            endless.waitUntilExit()
        }
        (descriptors, endless) = ([], nil)
    }
}
