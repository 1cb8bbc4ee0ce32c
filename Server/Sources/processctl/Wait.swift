import ArgumentParser

struct Wait: ClientCommand {
  static let configuration = CommandConfiguration(
    abstract: "Wait until a session's command has ended, or has written a text.",
    discussion: """
      Exit status: the command's own, or with --for 0 if the text came, and 1 if the command ended \
      without it; 124 if the time was up. A daemon that does not answer within 10 seconds more \
      ends it with 69.
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

  @Flag(
    help: """
      With --for, write how the wait ended as JSON, on one line: outcome, offset, end_offset, \
      missed_bytes and cursor. With --since and that cursor, another wait goes on behind the match.
      """)
  var json = false

  func validate() throws {
    if json, text == nil {
      throw ValidationError("--json says more about --for, which is missing")
    }
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
    if answer.isLost { complain(answer.lossMessage) }
    throw ExitCode(answer.status)
  }

  private func wait(for text: String, in session: RemoteSession) async throws {
    let deadline = Deadline(after: limit)
    var cursor = since ?? "0"
    var isFirst = true
    while true {
      let isOver = deadline.isOver
      let query = [
        ("since", cursor), ("max_bytes", "1"), ("wait_for", percentEncoded(text.utf8)),
      ]
      func ask() async throws -> OutputAnswer {
        // The first answer comes at once: what is wrong with the request is told at once too.
        try await session.output(
          query, waiting: isFirst ? .zero : deadline.wait, within: deadline.patience)
      }
      let answer =
        isFirst ? try await ask() : try await session.client.persistently(until: deadline, ask)
      isFirst = false
      guard let search = answer.waitFor else {
        throw Failure(
          status: .foreignAnswer, message: "the daemon is too old to wait for a text")
      }
      switch search.outcome {
      case "matched": return try write(search)
      case "exited", "closed":
        try write(search)
        if answer.isLost {
          complain(answer.lossMessage)
          throw ExitCode(ExitStatus.unavailable.rawValue)
        }
        complain("the command has ended without that text")
        throw ExitCode(ExitStatus.refused.rawValue)
      default: break
      }
      guard !answer.forgotten else { throw Failure.forgotten }
      if isOver {
        try write(search)
        throw ExitCode(ExitStatus.timeout.rawValue)
      }
      cursor = search.cursor
    }
  }

  /// Writes how the wait for a text ended, as the daemon tells it.
  private func write(_ search: OutputAnswer.Search) throws {
    guard json else { return }
    func text(_ number: Int?) -> String { number.map(\.description) ?? "null" }
    try Descriptor.stdout.write(
      #"{"outcome":"\#(search.outcome)","offset":\#(text(search.offset)),"#
        + #""end_offset":\#(text(search.endOffset)),"missed_bytes":\#(text(search.missedBytes)),"#
        + #""cursor":"\#(search.cursor)"}"# + "\n")
  }
}
