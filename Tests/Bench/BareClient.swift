import CMosquitto
import Foundation
import Synchronization

/// libmosquitto with nothing around it: the baseline that everything here is compared with.
final class BareClient: Sendable {
    /// libmosquitto locks a client itself (mosquitto_loop_start).
    nonisolated(unsafe) private let client: OpaquePointer
    private let received = Atomic<Int>(0)
    private let acknowledged = Atomic<Int>(0)
    /// A function by itself would be wrapped once more at each look into the mutex.
    private struct Arrival {
        var perform: (@Sendable (UnsafePointer<mosquitto_message>) -> Void)?
    }
    private let arrival = Mutex(Arrival())

    init(_ name: String, port: Int) throws {
        mosquitto_lib_init()
        guard let client = mosquitto_new("bench-\(name)-\(UInt32.random(in: 0 ... .max))", true, nil) else {
            throw BenchError("libmosquitto has no client for us")
        }
        self.client = client
        mosquitto_user_data_set(client, Unmanaged.passUnretained(self).toOpaque())
        trunkline_set_message_callbacks(
            client,
            { _, context, message, _ in
                guard let context, let message else { return }
                let own = Unmanaged<BareClient>.fromOpaque(context).takeUnretainedValue()
                own.received.add(1, ordering: .relaxed)
                own.arrival.withLock { $0.perform }?(message)
            },
            { _, context, _, _, _ in
                guard let context else { return }
                Unmanaged<BareClient>.fromOpaque(context).takeUnretainedValue().acknowledged.add(1, ordering: .relaxed)
            })
        mosquitto_int_option(client, MOSQ_OPT_SEND_MAXIMUM, 1000)
        mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1)
        guard mosquitto_connect(client, "127.0.0.1", Int32(port), 60) == MOSQ_ERR_SUCCESS.rawValue,
            mosquitto_loop_start(client) == MOSQ_ERR_SUCCESS.rawValue
        else { throw BenchError("no broker on port \(port)") }
    }

    deinit {
        mosquitto_disconnect(client)
        mosquitto_loop_stop(client, true)
        mosquitto_destroy(client)
    }

    var receivedCount: Int { received.load(ordering: .relaxed) }
    /// QoS 1: at PUBACK; QoS 0: once written.
    var acknowledgedCount: Int { acknowledged.load(ordering: .relaxed) }

    func onArrival(_ body: @escaping @Sendable (UnsafePointer<mosquitto_message>) -> Void) {
        arrival.withLock { $0.perform = body }
    }

    /// Returns when the broker will deliver: a message to oneself has come back.
    func subscribe(_ filter: String, qos: Int32) async throws {
        let probe = "bench/probe/\(UInt32.random(in: 0 ... .max))"
        let before = receivedCount
        mosquitto_subscribe(client, nil, filter, qos)
        mosquitto_subscribe(client, nil, probe, 0)
        while receivedCount == before {
            publish([1], on: probe, qos: 0)
            try await Task.sleep(for: .milliseconds(5))
        }
        mosquitto_unsubscribe(client, nil, probe)
        try await Task.sleep(for: .milliseconds(50))
    }

    func publish(_ payload: some Collection<UInt8>, on topic: String, qos: Int32, retained: Bool = false) {
        let sent = payload.withContiguousStorageIfAvailable { bytes in
            mosquitto_publish(client, nil, topic, Int32(bytes.count), bytes.baseAddress, qos, retained)
        }
        if sent == nil { publish(Array(payload), on: topic, qos: qos, retained: retained) }
    }
}

struct BenchError: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}
