/// Why a certificate, key or request cannot be used.
package struct CertificateError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}
