import Synchronization

/// The bytes that wait on behalf of clients, in one direction, with bounds for each connection, for
/// each workspace and in total.
///
/// An item that alone is larger than a bound is admitted if nothing else waits: otherwise it could
/// never be admitted.
final class Backlog: Sendable {
  private struct Entry {
    let connection: Connection
    let workspace: String
    var bytes = 0
    /// The time at which some of the bytes were last sent, or at which the first arrived.
    var lastProgress: ContinuousClock.Instant
  }

  private struct State {
    var entries: [ObjectIdentifier: Entry] = [:]
    var byWorkspace: [String: Int] = [:]
    var total = 0
    var refusals = 0
    var cutOffs = 0

    mutating func add(_ bytes: Int, to workspace: String) {
      total += bytes
      let rest = byWorkspace[workspace, default: 0] + bytes
      byWorkspace[workspace] = rest > 0 ? rest : nil
    }

    mutating func remove(_ connection: Connection) {
      guard let entry = entries.removeValue(forKey: connection.id) else { return }
      add(-entry.bytes, to: entry.workspace)
    }
  }

  private let limits: APIServer.Limits.Backlog
  private let stallTime: Duration
  private let growthIsProgress: Bool
  private let state = Mutex(State())

  /// - Parameters:
  ///   - stallTime: How long a connection may make no progress before it may be cut off in favour
  ///     of others.
  ///   - growthIsProgress: Whether arriving bytes are progress, and not only departing bytes.
  init(
    _ limits: APIServer.Limits.Backlog, stallTime: Duration, growthIsProgress: Bool = false
  ) {
    self.limits = limits
    self.stallTime = stallTime
    self.growthIsProgress = growthIsProgress
  }

  /// The bytes that wait.
  var total: Int { state.withLock(\.total) }

  /// The number of connections and workspaces with bytes that wait.
  var entryCount: Int { state.withLock { $0.entries.count + $0.byWorkspace.count } }

  /// The number of refusals for lack of room, and of connections that were cut off to make room.
  var counts: (refusals: Int, cutOffs: Int) { state.withLock { ($0.refusals, $0.cutOffs) } }

  /// Counts bytes that will wait on behalf of a connection.
  ///
  /// If they do not fit, cuts off the connection that has made no progress for longest, and for
  /// longer than `stallTime`; then the next one, until the bytes fit.
  ///
  /// - Returns: Whether they fit. If not, they do not count.
  func take(
    _ bytes: Int, for connection: Connection, in workspace: String,
    at time: ContinuousClock.Instant = .now
  ) -> Bool {
    var stalled: [Connection] = []
    let isTaken = state.withLock { state in
      // The bytes of a connection that is gone would never be subtracted.
      if connection.isClosed { return false }
      while true {
        let own = state.entries[connection.id]?.bytes ?? 0
        let others = state.byWorkspace[workspace] ?? 0
        let isOwnFull = own > 0 && own + bytes > limits.perConnection
        let isWorkspaceFull = others > 0 && others + bytes > limits.perWorkspace
        let isFull = state.total > 0 && state.total + bytes > limits.total
        guard isOwnFull || isWorkspaceFull || isFull else { break }
        let slowest =
          isOwnFull
          ? nil
          : state.entries.values.filter { entry in
            entry.connection !== connection && time - entry.lastProgress > stallTime
              && (!isWorkspaceFull || entry.workspace == workspace)
          }.min { $0.lastProgress < $1.lastProgress }
        guard let slowest else {
          state.refusals += 1
          return false
        }
        state.cutOffs += 1
        stalled.append(slowest.connection)
        state.remove(slowest.connection)
      }
      var entry =
        state.entries[connection.id]
        ?? Entry(connection: connection, workspace: workspace, lastProgress: time)
      entry.bytes += bytes
      if growthIsProgress { entry.lastProgress = time }
      state.add(bytes, to: entry.workspace)
      state.entries[connection.id] = entry
      return true
    }
    for connection in stalled { connection.cutOff() }
    return isTaken
  }

  /// Subtracts bytes that do not wait any more.
  func give(
    _ bytes: Int, of connection: Connection, at time: ContinuousClock.Instant = .now
  ) {
    state.withLock { state in
      guard var entry = state.entries[connection.id] else { return }
      let gone = min(bytes, entry.bytes)
      entry.bytes -= gone
      entry.lastProgress = time
      state.add(-gone, to: entry.workspace)
      state.entries[connection.id] = entry.bytes > 0 ? entry : nil
    }
  }

  /// Subtracts all bytes of a connection.
  func giveAll(of connection: Connection) { state.withLock { $0.remove(connection) } }

  /// Whether bytes wait on behalf of a connection.
  func holds(_ connection: Connection) -> Bool {
    state.withLock { $0.entries[connection.id] != nil }
  }

}

extension APIError {
  /// There is no room for what a request needs.
  static let overloaded = APIError(
    .serviceUnavailable, "overloaded",
    "too much waits already to be sent or to arrive: try again, with a smaller max_bytes if that"
      + " goes on")
}
