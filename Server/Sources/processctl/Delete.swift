import ArgumentParser

struct Delete: ClientCommand {
  static let configuration = CommandConfiguration(
    abstract: "Delete sessions and their output, and end their commands.",
    discussion: """
      A command that still runs gets SIGTERM, and SIGKILL after 2 seconds, with all of its group. \
      Names and idempotency keys of deleted sessions are free again. Exit status: 66 if one of the \
      sessions does not exist; the others are deleted all the same.
      """)

  @OptionGroup var server: ServerOptions

  @Flag(help: "Delete all sessions that are closed: no process can write to them any more.")
  var closed = false

  @Argument(help: ArgumentHelp("The sessions' ids.", valueName: "id"))
  var ids: [String] = []

  private struct Answer: Decodable { let processes: [Process] }

  private struct Process: Decodable {
    let sessionId: String
    let closed: Bool
  }

  func validate() throws {
    guard closed == ids.isEmpty else {
      throw ValidationError("give the ids of sessions, or --closed")
    }
  }

  func run(_ client: Client) async throws {
    if closed {
      let answer: Answer = try await client.send(.GET, "/processes")
      var last: Failure?
      for process in answer.processes where process.closed {
        do {
          try await RemoteSession(client, process.sessionId).delete()
        } catch let failure as Failure where failure.status == .noSession {
          // Another client has deleted it.
        } catch let failure as Failure where failure.status == .refused {
          complain("\(process.sessionId): \(failure.message)")
          last = failure
        }
      }
      if let last { throw ExitCode(last.status.rawValue) }
      return
    }
    var missing: Failure?
    for id in ids {
      do {
        try await RemoteSession(client, id).delete()
      } catch let failure as Failure where failure.status == .noSession {
        complain(failure.message)
        missing = failure
      }
    }
    if let missing { throw ExitCode(missing.status.rawValue) }
  }
}
