import Processes
import Synchronization

/// A copy of another server's session, made of the batches in its stream.
///
/// Where batches are missing, which the session's server could not store, another session takes the
/// place of the copy, and begins behind the gap. The manager forgets the first one then, so readers
/// that wait for it are woken, and go on with the other.
struct SessionCopy {
  /// The time of the chunks that are appended, as their own server gave it.
  private final class Clock: Sendable {
    let time = Atomic<Int64>(0)
  }

  private(set) var session: Session
  private var clock = Clock()
  private var status = (exit: Int32?.none, isClosed: false)

  /// Creates a copy that begins behind a chunk.
  ///
  /// - Throws: `RingAllocationError` if there is no memory for it.
  init(
    of id: String, _ state: RemoteState, behind seq: Int, offset: Int, in manager: SessionManager
  ) throws(RingAllocationError) {
    session = try Self.makeSession(id, state, behind: seq, offset: offset, clock)
    manager.register(session)
  }

  private static func makeSession(
    _ id: String, _ state: RemoteState, behind seq: Int, offset: Int, _ clock: Clock
  ) throws(RingAllocationError) -> Session {
    try Session(
      continuing: state.cursor(seq: seq, offset: offset), id: id, workspaceID: state.workspace,
      timestamps: state.hasTimestamps,
      clock: ActivityClock { clock.time.load(ordering: .relaxed) })
  }

  /// Appends what the copy does not have yet of a batch.
  ///
  /// - Throws: `RingAllocationError` if a gap takes another session, and there is no memory for it.
  mutating func append(
    _ batch: StoredBatch, of state: RemoteState, in manager: SessionManager
  ) throws(RingAllocationError) {
    guard batch.lastSeq > session.lastSeq else { return }
    // A server that has stored its output anew makes other batches of it.
    var chunks = batch.chunks.dropFirst(max(0, session.lastSeq - batch.firstSeq + 1))
    let begin = batch.end - chunks.reduce(0) { $0 + $1.bytes.readableBytes }
    if batch.firstSeq > session.lastSeq + 1 || begin != session.totalBytes {
      chunks = batch.chunks[...]
      clock = Clock()
      session = try Self.makeSession(
        session.id, state, behind: batch.firstSeq - 1, offset: batch.begin, clock)
      status = (exit: nil, isClosed: false)
      manager.register(session)
    }
    for chunk in chunks {
      if let timestamp = chunk.timestamp {
        clock.time.store(Int64(timestamp.nanoseconds), ordering: .relaxed)
      }
      session.append(chunk.bytes.readableBytesView, to: chunk.stream)
    }
  }

  /// Gives the copy the session's end, once all output before that is in it.
  mutating func end(as state: RemoteState) {
    if let code = state.exitCode, status.exit != code {
      session.setExit(code, closing: false)
      status.exit = code
    }
    if state.isClosed, !status.isClosed {
      session.close()
      status.isClosed = true
    }
  }
}
