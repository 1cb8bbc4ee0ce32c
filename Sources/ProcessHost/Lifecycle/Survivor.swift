public import Processes

/// The processes of one command that a host could not terminate: see ``CommandHost/close(grace:)``.
public struct Survivor: Sendable {
  /// Why a process could not be terminated.
  public enum Reason: Sendable, Hashable {
    /// The process has changed its user, and this program may not send it signals.
    case notPermitted
    /// The process was sent `SIGKILL`, but the system has not ended it: it waits for a device or a
    /// file server.
    case unresponsive
  }

  /// The session of the command.
  public let session: Session
  /// The PIDs of the command's remaining processes; empty if the command hangs before its file is
  /// executed.
  public let processIDs: [Int32]
  /// Why the host could not terminate them.
  public let reason: Reason
}

extension Survivor: CustomStringConvertible {
  /// The processes, and why the host could not terminate them.
  public var description: String {
    let processes =
      processIDs.isEmpty
      ? "a process that is being started"
      : "process \(processIDs.map(String.init).joined(separator: ", "))"
    return switch reason {
    case .notPermitted: "\(processes) of session \(session.id): not permitted to end it"
    case .unresponsive: "\(processes) of session \(session.id): does not end"
    }
  }
}
