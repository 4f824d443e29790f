package import Fleet

extension Monitor {
    /// What makes the monitor move. Events carry values that the shell has already checked (MACs, seals) and committed.
    package enum Event: Sendable, Codable {
        /// A group was created or its record changed: a new revision, `start`, `stop`, `pause`, `resume`. The record is the one in force from now on.
        case group(GroupRecord, Change)
        /// The group is gone from the records; its machines are to go too.
        case groupDeleted(String)
        /// The user restarts every machine of a group.
        /// In waves; nil: because somebody asked for just that.
        case restartGroup(String, by: String = "a user", because: String? = nil)
        /// The user's word on one machine.
        case restartMachine(String)
        case replaceMachine(String)
        case revokeMachine(String)
        /// A person drains a machine, or takes that back.
        case drainMachine(String)
        case undrainMachine(String, by: String)
        /// A person's word on the group's rollout; refused by `refusal(ofRollout:in:)`.
        case rollout(String, RolloutWord)
        /// A machine's registration was opened and its ticket accepted. `machine` is known (launched) or new (invited).
        case registered(Registered)
        /// A status whose MAC was right. A last will has state `away`.
        case status(Status)
        /// Which windows of maintenance are open from now on, of all that records name.
        case windows([Window: Bool])
        /// The platform's answers.
        case launched(machine: String)
        /// Not certain: it may have been launched all the same (a time-out, a driver that died); the platform's list decides.
        case launchFailed(machine: String, reason: String, isCertain: Bool = true)
        /// The platform says that the machine no longer exists, without having been asked for that.
        /// Not believed where `platform` is not the machine's own.
        case gone(machine: String, reason: String, platform: Platform? = nil)
        /// The platform has released the machine: nothing of it is left.
        case released(machine: String)
        /// The platform's list, asked for at `asked`: which machines of this manager run, and of which something is left though they don't.
        /// Nothing is concluded about what was launched later than it was asked.
        case listed(platform: Platform, running: Set<String>, remains: Set<String>, asked: Timestamp)
        case listFailed(platform: Platform, reason: String)
        /// A driver that had died runs again: what it runs is compared with the records.
        case driverBack(Platform)
        /// A person lets the machines of a stopped group go.
        case releaseMachines(of: String)
        /// A person gives up launched machines whose platform is gone for good.
        case forgetMachines(of: String)
        /// The connection with the broker is up (again): every current order is to be sent, since the broker may have lost them.
        case connected
        /// The manager cannot hear machines: no connection, a subscription missing, its own intake behind. A monitor begins so.
        case deaf(reason: String)
        /// It can (again).
        case hearing
        /// `nextDeadline` has come.
        case due
        /// The same in a replay, where the monitor concluded that these machines are away, since nothing was heard of them.
        case silent(Set<String>)

        package enum Change: Sendable, Codable {
            case created, revised, started, stopped, paused, resumed
        }

        package enum RolloutWord: Hashable, Sendable, Codable {
            case promote(by: String)
            case pause(by: String, why: String?)
            case resume(by: String)
            case abort(by: String, why: String?)
        }

        package struct Registered: Sendable, Codable {
            package var machine: String
            package var group: String
            package var fingerprint: String
            package var facts: MachineFacts

            package init(machine: String, group: String, fingerprint: String, facts: MachineFacts) {
                self.machine = machine
                self.group = group
                self.fingerprint = fingerprint
                self.facts = facts
            }
        }
    }

    /// What the shell is to do, in this order, after it has committed every `save…`, `remove…` and `record` of the burst.
    package enum Effect: Hashable, Sendable {
        case saveGroup(GroupRecord)
        case saveMachine(MachineRecord)
        /// Delete the row and its keys, and clear the machine's retained topics.
        case removeMachine(id: String, group: String)
        case record(EventEntry)
        /// Seal and publish the machine's current order (`MachineRecord.order`), new or again.
        case sendOrder(machine: String, group: String)
        /// Make a boot ticket and ask the platform for the machine; answer with `launched` or `launchFailed`.
        case launch(machine: String, group: String, index: Int, platform: Platform)
        /// Answer with `released`; where that fails, it is asked for again.
        case release(machine: String, group: String, platform: Platform)
        /// Ask the platform which machines it runs; answer with `listed` or `listFailed`. At most one is asked at a time for each platform.
        case list(platform: Platform)
        /// Release what no record knows; nothing is answered.
        case releaseUnknown(machine: String, platform: Platform)
        /// When a rule acted: takes the place of what was kept for it.
        case saveActs(RuleActs)
        /// Remember the machine's key as revoked and clear its retained topics; it gets nothing more.
        case revoke(machine: String, group: String, fingerprint: String?)
        /// A rule scales: make a revision with this count, commit it, and come back with `group(…, .revised)`.
        case scale(group: String, count: Int, rule: String)
        /// Make a revision that says what this one said, commit it, and come back with `group(…, .revised)`.
        case goBack(group: String, revision: Int, why: String, by: String)
        case saveRollout(RolloutRecord)
        case saveVerdict(group: String, release: Int, Verdict)
    }
}

extension Monitor.Event {
    var isDeadline: Bool {
        switch self {
        case .due, .silent: true
        default: false
        }
    }
}
