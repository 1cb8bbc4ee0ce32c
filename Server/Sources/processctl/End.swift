import ArgumentParser

struct End: ClientCommand {
  static let configuration = CommandConfiguration(
    abstract: "End a session's command and all of its group.",
    discussion: """
      They get SIGTERM, and SIGKILL after 2 seconds, or as run --kill-after has said. Returns at \
      once; processctl wait waits for the end. The output can still be read.
      """)

  @OptionGroup var server: ServerOptions

  @Option(
    help: ArgumentHelp(
      "Send SIGKILL after this time: a number, and ms, s, m, h or d. 0 sends it at once.",
      valueName: "time"),
    transform: Duration.parse)
  var grace: Duration?

  @Argument(help: "The session's id.")
  var id: String

  func run(_ client: Client) async throws {
    try await RemoteSession(client, id).terminate(grace: grace)
  }
}
