import Foundation
import ProcessHost
import Processes

@testable import ProcessServer

/// The client command, as a process of its own.
struct Processctl: Sendable {
  static let executable = builtExecutable("processctl")

  var url: String
  var token: String? = TestServer.alice

  init(_ url: String) { self.url = url }

  init(_ server: TestServer) { self.init("http://127.0.0.1:\(server.port)") }

  /// What a run has left.
  struct Result {
    let status: Int32
    let stdout: String
    let stderr: String
    let bytes: [UInt8]
  }

  func command(_ arguments: [String], in shell: String? = nil) -> Command {
    var command = Command(Self.executable, arguments: arguments)
    if let shell {
      command = .shell(shell)
      command.arguments += [Command.Text(Self.executable)] + arguments.map { Command.Text($0) }
    }
    command.environment = .inherited(changing: ["PROCESSD_URL": url, "PROCESSD_TOKEN": token])
    return command
  }

  /// Runs it to its end.
  ///
  /// - Parameters:
  ///   - input: What it reads from its stdin.
  ///   - shell: A line of sh in which `"$0" "$@"` runs it; nil for none.
  func run(
    _ arguments: String..., input: [UInt8]? = nil, in shell: String? = nil
  ) async throws -> Result {
    var command = command(arguments, in: shell)
    if let input { command.input = .bytes(input) }
    let result = try await CommandHost.shared.run(command)
    let stdout = result.output.payload(of: .stdout)
    return Result(
      status: result.exit.code, stdout: stdout.description,
      stderr: result.output.payload(of: .stderr).description, bytes: Array(stdout))
  }

  /// Starts it, and returns when it has written a text.
  func start(_ arguments: String..., until text: String) async throws -> HostedProcess {
    let process = try await launch(arguments)
    _ = await process.session.wait(for: text, upTo: .seconds(60))
    return process
  }

  func launch(_ arguments: [String]) async throws -> HostedProcess {
    try await CommandHost.shared.launch(
      command(arguments), into: Session(id: randomID(), workspaceID: "test"))
  }
}
