import ArgumentParser

struct Follow: ClientCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a session's output as it comes, to its end.",
    discussion: """
      Writes stdout to stdout, stderr to stderr, and a line on stderr where output was missed. \
      Goes on where it was when a connection breaks. The exit status is 0 when the session has \
      ended, however its command has.
      """)

  @OptionGroup var server: ServerOptions

  @Argument(help: "The session's id.")
  var id: String

  @Option(
    help: ArgumentHelp(
      "Begin after this position: a seq, or a cursor of --json.", valueName: "cursor"),
    transform: parseCursor)
  var since: String?

  @Flag(help: "Write chunks and a summary as JSON, one object a line, to stdout.")
  var json = false

  func run(_ client: Client) async throws {
    let session = try RemoteSession(client, id)
    var writer = OutputWriter(json ? .json : .plain)
    var follower = Follower(session, since: since ?? "0")
    var last: OutputAnswer?
    while !writer.isStopped, let answer = try await follower.next() {
      writer.write(answer)
      last = answer
    }
    if let last { writer.finish(last, of: id) }
    try writer.check()
    if let last, last.isLost {
      throw Failure(status: .unavailable, message: last.lossMessage)
    }
  }
}
