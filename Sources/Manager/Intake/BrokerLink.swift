import Fleet
import Monitor
import Foundation
import Logging
import Messaging

/// Brings what the broker has to the control, and says on `trunkline/manager` that the manager is there.
struct BrokerLink: Sendable {
    let connection: Connection
    let control: Control
    let logger: Logger

    /// So many messages may wait before the broker has to.
    static let mostWaiting = 20_000

    static func connection(
        _ configuration: ManagerConfiguration, issuer: CertificateIssuer?, token: String, logger: Logger
    ) throws -> Connection {
        let topics = Topics(root: configuration.root)
        let broker = try address(configuration)
        let clientID = issuer == nil ? "trunkline-manager-\(AdminToken.hash(token).prefix(12))" : "boot-manager"
        return Connection(
            Connection.Configuration(keepAlive: .seconds(20)) { _ in
                // Without a certificate the broker says why it refuses; making one cannot fail for long.
                BrokerRoute(broker: broker, clientID: clientID, security: try? issuer?.managerSecurity()) {
                    Message(
                        topic: topics.manager, payload: ManagerStatus.payload(.away), qos: .atLeastOnce,
                        retained: true)
                }
            }, logger: logger)
    }

    /// Checked: plain only where that was asked for.
    static func address(_ configuration: ManagerConfiguration) throws -> BrokerAddress {
        for text in [configuration.broker, configuration.brokerForMachines, configuration.boot].compactMap({ $0 }) {
            guard let broker = BrokerAddress(text) else {
                throw StartError("\(text) is not a broker's address; write it as mqtts://HOST:PORT")
            }
            guard broker.isSecure != configuration.isInsecure else {
                throw StartError(
                    configuration.isInsecure
                        ? "--insecure is for plain MQTT; write \(text) as mqtt://HOST:PORT, or leave --insecure out"
                        : "\(text) is plain MQTT, where anybody reads and says everything; write it as mqtts://HOST:PORT, or add --insecure to try things out"
                )
            }
        }
        guard let broker = BrokerAddress(configuration.broker) else { throw StartError("no broker") }
        return broker
    }

    func run() async {
        for await event in connection.events {
            switch event {
            case .connected: await connected()
            case .disconnected(let reason):
                await control.set(connected: false)
                control.mailbox.put(.event(.deaf(reason: reason.isEmpty ? "no connection with the broker" : reason)))
                logger.warning("the broker is gone", metadata: ["reason": "\(reason)"])
            case .message(let message):
                if message.topic.hasSuffix("/log"), case .log(_, let machine) = control.topics.parse(message.topic) {
                    await control.logRelay.receive(message.payload, of: machine)
                    continue
                }
                // Waiting here fills the connection's own buffer, which counts what it has to drop.
                if control.mailbox.put(.message(message)) > Self.mostWaiting { await control.drain() }
            }
        }
    }

    private func connected() async {
        let topics = control.topics
        do {
            try await connection.subscribe(
                [topics.allRegistrations] + (control.configuration.isInsecure ? [] : [topics.allBootRegistrations]),
                qos: .atLeastOnce)
            // QoS 0: a broker under default limits hands over 1,020 retained statuses of 10,000 at QoS 1, all of them at QoS 0;
            // each status is retained and repeated, so none is needed twice.
            try await connection.subscribe([topics.allStatuses], qos: .atMostOnce)
            try await connection.publish(
                Message(
                    topic: topics.manager, payload: ManagerStatus.payload(.online), qos: .atLeastOnce,
                    retained: true))
            await control.logRelay.subscribeAgain()
            await control.set(connected: true)
            control.mailbox.put(.event(.connected))
            control.mailbox.put(.event(.hearing))
            logger.notice("connected with the broker", metadata: ["broker": "\(control.configuration.broker)"])
        } catch {
            logger.error("the broker does not let the manager subscribe", metadata: ["error": "\(error)"])
        }
    }

    /// Ends the connection cleanly, which suppresses the will: so it is said here.
    func close() async {
        await connection.close(farewell: [
            Message(
                topic: control.topics.manager, payload: ManagerStatus.payload(.away), qos: .atLeastOnce, retained: true)
        ])
    }
}

extension ManagerStatus {
    fileprivate static func payload(_ state: State) -> Data {
        ManagerStatus(state: state, at: .wall, version: Version.text).encoded()
    }
}
