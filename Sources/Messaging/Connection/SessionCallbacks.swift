import CMosquitto
import FoundationEssentials
import Glibc

// What libmosquitto calls on the loop's thread, inside `Session.read` and `Session.write`. Everything that belongs to
// C is copied before these return.

extension Session {
    static func register(_ handle: OpaquePointer) {
        trunkline_set_connection_callbacks(
            handle,
            { _, context, reason, _, _ in Context.at(context)?.answered(reason) },
            { _, context, reason, _ in Context.at(context)?.farewell = reason })
        trunkline_set_message_callbacks(
            handle,
            { _, context, message, _ in
                if let message { Context.at(context)?.arrived(message.pointee) }
            },
            { _, context, identifier, reason, _ in Context.at(context)?.published(identifier, reason: reason) })
        trunkline_set_subscription_callbacks(
            handle,
            { _, context, identifier, count, granted, _ in
                let granted = UnsafeBufferPointer(start: granted, count: granted == nil ? 0 : Int(max(0, count)))
                Context.at(context)?.subscribed(identifier, granted: Array(granted))
            },
            { _, context, identifier, _ in Context.at(context)?.finish(identifier, .success(())) })
        trunkline_set_log_callback(handle) { _, context, _, text in
            if let text { Context.at(context)?.logged(String(cString: text)) }
        }
    }
}

extension Session.Context {
    fileprivate static func at(_ pointer: UnsafeMutableRawPointer?) -> Session.Context? {
        pointer.map { Unmanaged<Session.Context>.fromOpaque($0).takeUnretainedValue() }
    }

    /// libmosquitto has OpenSSL's reasons nowhere else: `OpenSSL Error[0]: error:0A000086:SSL routines::certificate verify failed`.
    fileprivate func logged(_ line: String) {
        guard line.hasPrefix("OpenSSL Error"), let colon = line.lastIndex(of: ":") else { return }
        tlsFailure = line[line.index(after: colon)...].prefix(200).drop { $0 == " " }.description
    }

    fileprivate func answered(_ reason: Int32) {
        answer = reason
        if reason == 0 { accepted() }
    }

    fileprivate func arrived(_ message: mosquitto_message) {
        guard let topic = message.topic, strnlen(topic, Message.longestTopic + 1) <= Message.longestTopic,
            message.payloadlen >= 0, message.payloadlen <= Message.largestPayload
        else { return events.drop() }
        let payload = message.payload.map { Data(bytes: $0, count: Int(message.payloadlen)) } ?? Data()
        events.yield(
            .message(
                Message(
                    topic: String(cString: topic), payload: payload, qos: message.qos == 0 ? .atMostOnce : .atLeastOnce,
                    retained: message.retain)))
    }

    fileprivate func published(_ identifier: Int32, reason: Int32) {
        // From 0x80 on the broker refused it; 0x10 says only that nobody has subscribed.
        finish(identifier, reason < 0x80 ? .success(()) : .failure(Self.refusal("message", reason)))
    }

    fileprivate func subscribed(_ identifier: Int32, granted: [Int32]) {
        let filters = waiting[identifier]?.filters ?? []
        for (filter, reason) in zip(filters, granted) where reason >= 0x80 {
            return finish(identifier, .failure(Self.refusal("subscription to \(filter)", reason)))
        }
        let complete = granted.count >= filters.count
        finish(
            identifier,
            complete ? .success(()) : .failure(MessagingError(.refused, "the broker answered for too few filters")))
    }

    fileprivate func finish(_ identifier: Int32, _ result: Result<Void, MessagingError>) {
        waiting.removeValue(forKey: identifier)?.reply(result)
    }

    private static func refusal(_ what: String, _ reason: Int32) -> MessagingError {
        MessagingError(.refused, "the broker refused the \(what): \(String(cString: mosquitto_reason_string(reason)))")
    }

    /// Everybody who still waits for the broker is told that the connection was lost.
    func failAll(_ error: MessagingError) {
        let all = waiting
        waiting = [:]
        for entry in all.values { entry.reply(.failure(error)) }
    }
}
