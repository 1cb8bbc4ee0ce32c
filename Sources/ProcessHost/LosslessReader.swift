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
/// left: whose iterator is gone. From then on the command runs as without the reader, and what the
/// reader misses is counted as always (``Output/missedBytes``).
public final class LosslessReader: Sendable {
  let gate: OutputGate
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

  /// Whether the command still waits for the reader when that is behind. It is not if the reader
  /// took nothing for ``timeLimit``, or has left.
  public var isWaitedFor: Bool { !gate.isOpenForGood }

  /// Returns all output of a session from its beginning, as it comes, until the session is closed.
  ///
  /// To be iterated once. Each output that the sequence returns counts as taken.
  ///
  /// - Parameter session: The session of the command that waits for this reader.
  public func outputs(of session: Session) -> LosslessOutputs {
    LosslessOutputs(base: session.outputs(), gate: gate)
  }
}

/// All output of a command that waits for its reader; see ``LosslessReader/outputs(of:)``.
public struct LosslessOutputs: AsyncSequence, Sendable {
  /// One read's chunks and state.
  public typealias Element = Output
  /// Reading cannot fail.
  public typealias Failure = Never

  let base: OutputSequence
  let gate: OutputGate

  /// Returns the iterator. The command no longer waits once it is gone.
  public func makeAsyncIterator() -> AsyncIterator {
    AsyncIterator(base: base.makeAsyncIterator(), presence: Presence(gate))
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
