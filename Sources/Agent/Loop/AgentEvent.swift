import Fleet
import Messaging

/// Everything that makes the agent move; one loop takes them one after the other.
enum AgentEvent: Sendable {
    case connection(ConnectionEvent)
    case subscribed(session: Int, well: Bool)
    case published(session: Int, well: Bool)
    /// A process was started; the record is nil where it has ended already. With how the files of its release looked when they were as they must be.
    case spawned(run: Int, ProcessRecord?, ReleaseStamp?)
    /// Its main process has ended well, and others of it run on.
    case wentToBackground(run: Int)
    case supervision(Supervisor.Event)
    /// The process that keeps the software's output has ended; not well: something is still to be kept.
    case writerEnded(ProcessIdentity, well: Bool)
    /// The lines of the log that were to be sent are on their way.
    case linesSent
    case checkEnded(run: Int, Check.Kind, Check.Result)
    case bundleLookedFor(generation: Int, isPresent: Bool)
    /// What of a bundle others on this machine have was copied from them.
    case compared(generation: Int, PartRanges)
    /// What was unpacked while it was received is whole, or cannot become so.
    case streamed(BundleStream.ID, BundleCache.Completion)
    case received(generation: Int, BundleCache.Completion)
    case prepared(generation: Int, AgentError?)
    case agentPrepared(id: Int, Result<AgentStore.Delivered, AgentError>)
    case partsSubscribed(generation: Int, session: Int, well: Bool)
    case glanced(run: Int, ReleaseStamp, ReleaseDifference)
    /// What ran and was not known has ended.
    case unknownEnded
    case alarm
    case terminate
}
