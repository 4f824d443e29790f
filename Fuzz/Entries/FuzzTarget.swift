import FoundationEssentials

/// Something that takes bytes from strangers, with what must hold whatever they are.
///
/// A broken promise is thrown as a `Finding`; a crash, a hang or too much memory shows by itself. libFuzzer and the tests
/// over `Fuzz/corpus` both go through here.
package enum FuzzTarget: String, CaseIterable, Sendable {
    /// A group or software text.
    case language
    /// A group in its JSON form.
    case json
    /// What a row of the records holds.
    case row
    case topics
    case registration
    case registrationContent = "registration-content"
    case certificateRequest = "certificate-request"
    case order
    case orderContent = "order-content"
    case certificate
    case certificateContent = "certificate-content"
    case status
    case managerStatus = "manager-status"
    case log
    /// A bundle as it comes, a gzip'd tar.
    case bundle
    /// The tar inside, with header checksums made right, so that a change behind a checksum is seen too.
    case archive
    case ticket

    /// Whether the input was taken for what it claims to be.
    @discardableResult
    package func run(_ bytes: [UInt8]) throws(Finding) -> Bool {
        switch self {
        case .language: try LanguageEntry.text(bytes)
        case .json: try LanguageEntry.json(bytes)
        case .row: try RowEntry.row(bytes)
        case .topics: try WireEntry.topic(bytes)
        case .registration: try WireEntry.registration(Data(bytes))
        case .registrationContent: try WireEntry.registrationContent(Data(bytes))
        case .certificateRequest: try WireEntry.certificateRequest(Data(bytes))
        case .order: try WireEntry.order(Data(bytes))
        case .orderContent: try WireEntry.orderContent(Data(bytes))
        case .certificate: try WireEntry.certificate(Data(bytes))
        case .certificateContent: try WireEntry.certificateContent(Data(bytes))
        case .status: try WireEntry.status(Data(bytes))
        case .managerStatus: try WireEntry.managerStatus(Data(bytes))
        case .log: try WireEntry.log(Data(bytes))
        case .bundle: try BundleEntry.bundle(bytes)
        case .archive: try BundleEntry.archive(bytes)
        case .ticket: try TicketEntry.ticket(Data(bytes))
        }
    }
}

/// A promise that an input broke.
package struct Finding: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }

    static func require(_ holds: Bool, _ promise: @autoclosure () -> String) throws(Finding) {
        guard holds else { throw Finding(promise()) }
    }

    /// For what must work once its input was taken.
    static func mustWork<Value>(_ what: String, _ body: () throws -> Value) throws(Finding) -> Value {
        do { return try body() } catch { throw Finding("\(what): \(error)") }
    }
}
