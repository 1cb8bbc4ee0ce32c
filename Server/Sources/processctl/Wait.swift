import ArgumentParser

struct Wait: ClientCommand {
  static let configuration = CommandConfiguration(
    abstract: "Wait until a session's command has ended, or has written a text.",
    discussion: """
      Exit status: the command's own, or with --for 0 if the text came, and 1 if the command ended \
      without it; 124 if the time was up.
      """)

  @OptionGroup var server: ServerOptions

  @Argument(help: "The session's id.")
  var id: String

  @Option(
    name: .customLong("for"),
    help: ArgumentHelp(
      "Wait for this text in the output, what is retained of it included.", valueName: "text"))
  var text: String?

  @Option(
    help: ArgumentHelp(
      "Look for the text after this position: a seq, or a cursor of --json.", valueName: "cursor"),
    transform: parseCursor)
  var since: String?

  @Option(
    help: ArgumentHelp(
      """
      Wait so long at most: a number, and ms, s, m, h or d; seconds without a unit. 0 is no limit.
      """, valueName: "time"),
    transform: Duration.parse)
  var timeout: Duration?

  func validate() throws {
    if since != nil, text == nil {
      throw ValidationError("--since says more about --for, which is missing")
    }
    if text?.isEmpty == true { throw ValidationError("--for needs a text") }
  }

  private var limit: Duration? { timeout.flatMap { $0 > .zero ? $0 : nil } }

  func run(_ client: Client) async throws {
    let session = try RemoteSession(client, id)
    if let text {
      return try await wait(for: text, in: session)
    }
    let answer = try await session.wait(upTo: limit) { !$0.sessionAlive }
    guard let answer else { throw ExitCode(ExitStatus.timeout.rawValue) }
    throw ExitCode(answer.status)
  }

  private func wait(for text: String, in session: RemoteSession) async throws {
    let start = ContinuousClock.now
    var cursor = since ?? "0"
    var isFirst = true
    while true {
      let left = limit.map { max(.zero, $0 - (.now - start)) } ?? RemoteSession.waitTime
      let query = [
        ("since", cursor), ("max_bytes", "1"), ("wait_for", percentEncoded(text.utf8)),
      ]
      func ask() async throws -> OutputAnswer {
        try await session.output(query, waiting: min(left, RemoteSession.waitTime))
      }
      let answer = isFirst ? try await ask() : try await session.client.persistently(ask)
      isFirst = false
      guard let search = answer.waitFor else {
        throw Failure(
          status: .foreignAnswer, message: "the daemon is too old to wait for a text")
      }
      switch search.outcome {
      case "matched": return
      case "exited", "closed":
        complain("the command has ended without that text")
        throw ExitCode(ExitStatus.refused.rawValue)
      default: break
      }
      guard !answer.forgotten else { throw Failure.forgotten }
      if left <= .zero { throw ExitCode(ExitStatus.timeout.rawValue) }
      cursor = search.cursor
    }
  }
}
