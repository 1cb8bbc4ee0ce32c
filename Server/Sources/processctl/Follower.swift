/// A reader of a session's output, to its end.
///
/// When a connection breaks, it asks again from the same position: nothing is lost or repeated.
struct Follower {
  /// The most payload of an answer: all that a session retains without a head.
  private static let answerSize = 1 << 20

  private let session: RemoteSession
  /// Whether the command waits for this reader.
  private let isLossless: Bool
  private var cursor: String
  /// The position of the last request: all output before it has been dealt with.
  private(set) var acknowledged: String
  /// Whether the daemon is known to be there.
  private var isKnown: Bool
  private var last: OutputAnswer?

  /// - Parameters:
  ///   - isKnown: Whether the daemon has answered a request before. A daemon that never has is not
  ///     waited for.
  ///   - isLossless: Whether the command waits for this reader.
  init(
    _ session: RemoteSession, since cursor: String = "0", isKnown: Bool = false,
    isLossless: Bool = false
  ) {
    self.session = session
    self.isKnown = isKnown
    self.isLossless = isLossless
    self.cursor = cursor
    acknowledged = cursor
  }

  /// Waits for news, and returns them; returns nil behind the session's end.
  nonisolated(nonsending) mutating func next() async throws -> OutputAnswer? {
    if let last {
      if last.isLast { return nil }
      guard !last.forgotten else { throw Failure.forgotten }
      // The daemon does not wait for the exit of a command that has closed its output.
      if last.closed, !last.hasMore { try await Task.sleep(for: .milliseconds(100)) }
    }
    let query =
      [("since", cursor), ("max_bytes", "\(Self.answerSize)")]
      + (isLossless ? [RemoteSession.acknowledgement] : [])
    acknowledged = cursor
    let session = session
    // The first answer comes at once, and shows that the daemon is there.
    let wait = isKnown ? RemoteSession.waitTime : .zero
    func ask() async throws -> OutputAnswer { try await session.output(query, waiting: wait) }
    let answer: OutputAnswer
    do {
      answer = isKnown ? try await session.client.persistently(ask) : try await ask()
    } catch let failure as Failure where isKnown && failure.isTransient {
      throw failure.losing(session)
    }
    isKnown = true
    cursor = answer.cursor
    last = answer
    return answer
  }
}
