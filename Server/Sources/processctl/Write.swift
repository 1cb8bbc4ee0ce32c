import ArgumentParser

struct Write: ClientCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write to the stdin of a session's command.",
    discussion: """
      Writes the text as it is, without a line break behind it, or with - all that comes on \
      processctl's own stdin. Waits while the command reads too slowly to take it.
      """)

  @OptionGroup var server: ServerOptions

  @Argument(help: "The session's id.")
  var id: String

  @Argument(help: "The text, or - for processctl's own stdin.")
  var text: String?

  @Flag(help: "End the command's stdin afterwards; in a terminal, send Ctrl-D.")
  var eof = false

  func validate() throws {
    if text == nil, !eof {
      throw ValidationError("nothing to write: give a text, - or --eof")
    }
  }

  func run(_ client: Client) async throws {
    let session = try RemoteSession(client, id)
    var isWanted = true
    if text == "-" {
      do {
        isWanted = try await StandardInput.forEachPiece { try await session.write($0) }
      } catch let error as StandardInput.ReadError {
        throw Failure(status: .output, message: "cannot read stdin: \(error.message)")
      }
      if isWanted, eof { isWanted = try await session.write([], isEnd: true) }
    } else {
      let bytes = Array((text ?? "").utf8)
      isWanted = try await session.write(bytes, isEnd: eof)
    }
    guard isWanted else {
      throw Failure(status: .refused, message: "the command has ended, or closed its stdin")
    }
  }
}
