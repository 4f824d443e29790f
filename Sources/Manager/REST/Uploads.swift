import Crypto
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import OperatingSystem

/// A bundle on its way in: to a file, piece by piece, with its SHA-256; nothing of it stays unless it came whole.
struct ArrivedBundle {
    var path: String
    /// SHA-256, hex.
    var digest: String
    var size: Int

    static func receive(_ request: Request, _ configuration: RESTConfiguration) async throws -> ArrivedBundle {
        let promised = try PromisedDigest(request.headers)
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > configuration.largestBundle {
            throw tooLarge(configuration)
        }
        if let type = request.mediaType, !types.contains(type) { throw UnsupportedType(wanted: types) }
        let path = "\(configuration.uploadDirectory)/\(UUID().uuidString)"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SystemError("create", path) }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        do {
            var hash = SHA256()
            var size = 0
            for try await chunk in request.body {
                size += chunk.readableBytes
                guard size <= configuration.largestBundle else { throw tooLarge(configuration) }
                let bytes = Data(chunk.readableBytesView)
                hash.update(data: bytes)
                try file.write(contentsOf: bytes)
            }
            try request.requireWhole(size)
            guard size > 0 else {
                throw Refusal(
                    code: .malformed,
                    message: "The body is empty; send the bundle, a tar that is compressed with zstd or gzip.")
            }
            let digest = Data(hash.finalize())
            try promised.check(digest)
            try file.synchronize()
            try file.close()
            return ArrivedBundle(path: path, digest: digest.map { String(format: "%02x", $0) }.joined(), size: size)
        } catch {
            try? file.close()
            try? FileManager.default.removeItem(atPath: path)
            if (error as? CocoaError)?.code == .fileWriteOutOfSpace {
                throw SystemError("write", path, number: ENOSPC)
            }
            throw error
        }
    }

    static let types = ["application/zstd", "application/gzip", "application/x-gzip", "application/octet-stream"]

    private static func tooLarge(_ configuration: RESTConfiguration) -> Refusal {
        Refusal(code: .tooLarge, message: "A bundle may have \(configuration.largestBundle) bytes at most.")
    }
}

/// What the sender says the SHA-256 is: `Repr-Digest` (RFC 9530) or the older `Digest` (RFC 3230).
private struct PromisedDigest {
    var values: [(field: String, digest: Data)] = []

    init(_ headers: HTTPFields) throws {
        for name in [HTTPField.Name.reprDigest, .digest] {
            for member in (headers[name] ?? "").split(separator: ",") {
                let parts = member.split(separator: "=", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
                guard parts.count == 2 else { throw Self.malformed(name) }
                guard parts[0].lowercased() == "sha-256" else { continue }
                let text = parts[1].trimmingCharacters(in: [":"])
                guard let digest = Data(base64Encoded: text), digest.count == 32 else { throw Self.malformed(name) }
                values.append((name.rawName, digest))
            }
        }
    }

    func check(_ digest: Data) throws {
        for value in values where value.digest != digest {
            throw Refusal(
                code: .malformed,
                message:
                    "What arrived has another SHA-256 than \(value.field) says; it was changed on its way or is another file. Nothing was kept."
            )
        }
    }

    private static func malformed(_ name: HTTPField.Name) -> Refusal {
        Refusal(code: .malformed, message: "\(name.rawName) can't be read; write it as sha-256=:BASE64: (RFC 9530).")
    }
}

extension ArrivedBundle {
    /// Where nobody took it over.
    static func discard(_ path: String) { try? FileManager.default.removeItem(atPath: path) }
}
