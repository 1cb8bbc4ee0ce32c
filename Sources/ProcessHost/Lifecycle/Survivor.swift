public import Processes

/// What a host could not end: see ``CommandHost/close(grace:)``.
public struct Survivor: Sendable {
  /// Why a process could not be ended.
  public enum Reason: Sendable, Hashable {
    /// It has changed its user, and this program may not send it signals.
    case notPermitted
    /// It was sent `SIGKILL`, and the system has not ended it: it waits for a device or a file
    /// server.
    case unresponsive
  }

  /// The session of the command that it belongs to.
  public let session: Session
  /// The processes that are left of the command; none if the command hangs before its file is
  /// executed.
  public let processIDs: [Int32]
  /// Why they are left.
  public let reason: Reason
}

extension Survivor: CustomStringConvertible {
  /// The processes, and why they are left.
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
