import ArgumentParser

struct Read: ClientCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write what a session retains of its output.",
    discussion: """
      Writes stdout to stdout, stderr to stderr, and a line on stderr that tells the loss, if any.
      """)

  @OptionGroup var server: ServerOptions

  @Argument(help: "The session's id.")
  var id: String

  @Option(
    help: ArgumentHelp(
      "Begin after this position: a seq, or a cursor of --json.", valueName: "cursor"),
    transform: parseCursor)
  var since: String?

  @Option(
    help: ArgumentHelp(
      "Begin with the last lines, so many, of both streams (with --json: with their first chunk).",
      valueName: "lines"),
    transform: parseLineCount)
  var tail: Int?

  @Flag(help: "Write chunks and a summary as JSON, one object a line, to stdout.")
  var json = false

  @Flag(
    help: """
      Write both streams to stdout, as UTF-8 text without escape sequences, each line as a \
      terminal would leave it.
      """)
  var plain = false

  func validate() throws {
    if tail != nil, since != nil {
      throw ValidationError("--tail and --since exclude each other: each says where to begin")
    }
    if plain, json || since != nil {
      throw ValidationError("--plain writes text from the beginning: it excludes --json, --since")
    }
  }

  func run(_ client: Client) async throws {
    let session = try RemoteSession(client, id)
    var writer = OutputWriter(json ? .json : .plain)
    if plain {
      let answer = try await session.plainText()
      if answer.missedChunks > 0, tail == nil {
        complain("\(answer.missedBytes) bytes (\(answer.missedChunks) chunks) lost")
      }
      let start = tail.map { lineStart($0, in: answer.text) } ?? 0
      writer.write(Array(answer.text[start...]))
    } else {
      // One answer has all that is retained.
      let answer = try await session.output([("since", since ?? "0")])
      if let tail {
        writer.write(answer, lastLines: tail)
      } else {
        writer.write(answer, isAll: true)
      }
      writer.finish(answer, of: id)
    }
    try writer.check()
  }
}
