public import Processes

/// The one reader for which a command waits, so that it gets all of the command's output.
///
/// A command never waits for other readers: what they are too slow for is lost to them, and
/// counted. For a lossless reader the host stops reading from the command's pipes while the reader
/// is behind by more than a quarter of what the session retains. The command then waits once its
/// pipes are full, as it does for the next command in a shell's pipeline. No other command waits,
/// nor does any other reader.
///
/// ```swift
/// let reader = LosslessReader(timeLimit: .seconds(30))
/// let session = Session(id: "export")
/// try await CommandHost.shared.launch(command, into: session, waitingFor: reader)
/// for await output in reader.outputs(of: session) {
///   await upload(output.chunks.payload)
/// }
/// ```
///
/// The command waits no longer for a reader that has taken nothing for ``timeLimit``, or that has
/// left: whose iterator is gone, or that is itself gone and never had one. From then on the command
/// runs as without the reader, and what the reader misses is counted as always
/// (`Output.missedBytes`). The time for which the reader holds up other processes that still write
/// to the output does not count towards ``Command/quietGrace`` and ``Command/lingerLimit``.
///
/// A reader may also be elsewhere, as the client of a server is. Then the server reads the session
/// for it, and passes on how far the reader has got (``acknowledge(_:)``).
public final class LosslessReader: Sendable {
  private struct State {
    /// The session of the command that waits for the reader; nil before it is launched.
    var session: Session?
    var hasIterator = false
    /// The position that the reader has acknowledged.
    var (takenSeq, takenBytes) = (0, 0)
  }

  let gate: OutputGate
  private let state = LockedState(State())
  /// How long the command waits for the reader to take anything; nil for as long as it takes.
  public let timeLimit: Duration?

  /// Creates a reader, for one command.
  ///
  /// - Parameter timeLimit: How long the command waits for the reader to take anything; nil for as
  ///   long as it takes. With no limit, a reader that hangs holds up the command for ever.
  public init(timeLimit: Duration?) {
    self.timeLimit = timeLimit
    gate = OutputGate(timeLimit: timeLimit)
  }

  deinit {
    if !state.withLock({ $0.hasIterator }) { gate.open() }
  }

  /// Checks that no command waits for the reader yet, and that a session retains enough for it.
  func check(_ session: Session) {
    precondition(
      session.capacity >= Session.maxBufferBytes,
      "a lossless reader needs a session of \(Session.maxBufferBytes) bytes at least, not"
        + " \(session.capacity)")
    precondition(
      state.withLock { $0.session == nil }, "a lossless reader serves one command: make another")
  }

  /// Records the session of the reader's command.
  func bind(to session: Session) { state.withLock { $0.session = session } }

  /// Records that the reader has begun to read a session.
  fileprivate func begin(reading session: SessionReader) {
    let isFirst = state.withLock { state in
      precondition(
        state.session == nil || state.session === session,
        "a lossless reader reads the session of its own command")
      defer { state.hasIterator = true }
      return !state.hasIterator
    }
    precondition(isFirst, "the outputs of a lossless reader can be iterated once")
  }

  /// Whether the command still waits for the reader when that is behind. It is not if the reader
  /// took nothing for ``timeLimit``, or has left.
  public var isWaitedFor: Bool { !gate.isOpenForGood }

  /// Records that a reader which is elsewhere has taken all output up to a position.
  ///
  /// Such a reader acknowledges what it has received instead of iterating over ``outputs(of:)``.
  /// Its output is retained until then, so it can ask again for what was lost on the way.
  ///
  /// A call for a position that was acknowledged before says that the reader is still there: its
  /// ``timeLimit`` begins anew.
  ///
  /// - Parameter cursor: The position: the cursor of a read of the session. A cursor without an
  ///   offset, of another session or ahead of the output acknowledges nothing.
  /// - Returns: Whether the cursor is one that can acknowledge.
  @discardableResult
  public func acknowledge(_ cursor: Cursor) -> Bool {
    guard let offset = cursor.offset, let session = state.withLock({ $0.session }) else {
      return false
    }
    guard !session.isForeign(cursor), cursor.seq <= session.lastSeq, offset <= session.totalBytes
    else { return false }
    let (bytes, chunks) = state.withLock { state in
      let news = (max(0, offset - state.takenBytes), max(0, cursor.seq - state.takenSeq))
      state.takenBytes += news.0
      state.takenSeq += news.1
      return news
    }
    gate.took(bytes: bytes, chunks: chunks)
    gate.sawReader()
    return true
  }

  /// Records that the reader has left: the command no longer waits for it.
  public func leave() { gate.open() }

  /// Returns all output of a session from its beginning, as it comes, until the session is closed.
  ///
  /// Each output that the sequence returns counts as taken.
  ///
  /// - Parameter session: The session of the command that waits for this reader.
  /// - Precondition: the sequence is iterated once, and `session` is that of the command.
  public func outputs(of session: Session) -> LosslessOutputs {
    LosslessOutputs(base: session.outputs(), reader: self)
  }
}

/// All output of a command that waits for its reader; see ``LosslessReader/outputs(of:)``.
public struct LosslessOutputs: AsyncSequence, Sendable {
  /// One read's chunks and state.
  public typealias Element = Output
  /// Reading cannot fail.
  public typealias Failure = Never

  let base: OutputSequence
  let reader: LosslessReader

  /// Returns the iterator. The command no longer waits once it is gone.
  public func makeAsyncIterator() -> AsyncIterator {
    reader.begin(reading: base.session)
    return AsyncIterator(base: base.makeAsyncIterator(), presence: Presence(reader.gate))
  }

  /// Iterates over the outputs of a ``LosslessOutputs``.
  public struct AsyncIterator: AsyncIteratorProtocol {
    var base: OutputSequence.AsyncIterator
    let presence: Presence

    /// Waits for news, and returns it; nil after the end, or if the task is cancelled.
    public mutating func next() async -> Output? {
      await next(isolation: #isolation)
    }

    /// Waits for news, and returns it; nil after the end, or if the task is cancelled.
    public mutating func next(isolation actor: isolated (any Actor)?) async -> Output? {
      guard let output = await base.next(isolation: actor) else { return nil }
      presence.gate.took(output)
      return output
    }
  }

  /// Opens the gate for good when the reader leaves.
  final class Presence: Sendable {
    let gate: OutputGate
    init(_ gate: OutputGate) { self.gate = gate }
    deinit { gate.open() }
  }
}
