/// A reader of a session's output, to its end.
///
/// When a connection breaks, it asks again from the same position: nothing is lost or repeated.
struct Follower {
  /// The most payload of an answer: all that a session retains without a head.
  private static let answerSize = 1 << 20

  private let session: RemoteSession
  private var cursor: String
  /// Whether the daemon is known to be there.
  private var isKnown: Bool
  private var last: OutputAnswer?

  /// - Parameter isKnown: Whether the daemon has answered a request before. A daemon that never has
  ///   is not waited for.
  init(_ session: RemoteSession, since cursor: String = "0", isKnown: Bool = false) {
    self.session = session
    self.isKnown = isKnown
    self.cursor = cursor
  }

  /// Waits for news, and returns them; returns nil behind the session's end.
  nonisolated(nonsending) mutating func next() async throws -> OutputAnswer? {
    if let last {
      if last.isLast { return nil }
      guard !last.forgotten else { throw Failure.forgotten }
      // The daemon does not wait for the exit of a command that has closed its output.
      if last.closed, !last.hasMore { try await Task.sleep(for: .milliseconds(100)) }
    }
    let query = [("since", cursor), ("max_bytes", "\(Self.answerSize)")]
    let session = session
    func ask() async throws -> OutputAnswer {
      try await session.output(query, waiting: RemoteSession.waitTime)
    }
    let answer = isKnown ? try await session.client.persistently(ask) : try await ask()
    isKnown = true
    cursor = answer.cursor
    last = answer
    return answer
  }
}
