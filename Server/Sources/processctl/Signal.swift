import ArgumentParser

struct Signal: ClientCommand {
  static let configuration = CommandConfiguration(
    abstract: "Send a signal to a session's command and its group.")

  @OptionGroup var server: ServerOptions

  @Argument(help: "The session's id.")
  var id: String

  @Argument(help: "The signal's name, with or without SIG, or its number.")
  var signal: String

  func run(_ client: Client) async throws {
    try await RemoteSession(client, id).signal(signal)
  }
}
