import ArgumentParser

struct List: ClientCommand {
  static let configuration = CommandConfiguration(
    abstract: "List the sessions of the token's workspace, the oldest first.",
    discussion: """
      Writes a line for each session: its id; running, or the exit code or signal, or lost if its \
      holder was killed, or, in a fleet, silent or lost if its daemon is; the number of bytes \
      written; and the command, behind the session's name if it has one.
      """)

  @OptionGroup var server: ServerOptions

  @Flag(help: "Write the daemon's answer, a JSON object on one line.")
  var json = false

  private struct Answer: Decodable {
    let processes: [Process]
    let complete: Bool?
  }

  private struct Process: Decodable {
    let sessionId: String
    let sessionAlive: Bool
    let exitCode: Int?
    let signal: String?
    let totalBytes: Int
    let command: Words
    let name: String?
    let unreachable: Bool?
    let hostLost: Bool?
    let holderLost: Bool?

    var state: String {
      if hostLost == true || holderLost == true { return "lost" }
      if unreachable == true { return "silent" }
      return sessionAlive ? "running" : signal.map(printable) ?? "exit \(exitCode ?? 0)"
    }
  }

  /// A command: a text for `sh -c`, or words.
  private struct Words: Decodable {
    let text: String

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let text = try? container.decode(String.self) {
        self.text = text
      } else {
        text = try container.decode([String].self).joined(separator: " ")
      }
    }
  }

  func run(_ client: Client) async throws {
    if json {
      let answer = try await client.bytes("/processes", query: [])
      try Descriptor.stdout.write(Array(answer.body.readableBytesView) + [UInt8(ascii: "\n")])
      return
    }
    let answer: Answer = try await client.send(.GET, "/processes")
    for process in answer.processes {
      let state = process.state
      let padding = String(repeating: " ", count: max(0, 8 - state.count))
      let bytes = String(process.totalBytes)
      let space = String(repeating: " ", count: max(0, 12 - bytes.count))
      let name = process.name.map { $0 + ": " } ?? ""
      let command = printable(name + process.command.text)
      try Descriptor.stdout.write(
        "\(process.sessionId)  \(state)\(padding)\(space)\(bytes)  \(command)\n")
    }
    if answer.complete == false {
      complain("the fleet's Redis does not answer: sessions of other daemons may be missing")
    }
  }
}
