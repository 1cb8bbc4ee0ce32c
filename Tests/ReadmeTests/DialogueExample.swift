import ProcessHost

func square(of number: Int) async throws -> String {
  var command = Command.shell("while read x; do echo $((x * x)); done")
  command.input = .pipe  // or .bytes([…]); unless set there is none
  command.terminal = nil  // or a TerminalSize, to run it in a terminal
  command.quietGrace = .seconds(1)  // for output that others hold open after the command's end
  let session = Session(id: "squares")
  let process = try await CommandHost.shared.launch(command, into: session)
  try await process.input?.write("\(number)\n".utf8)  // waits while the pipe is full
  let output = await session.output(since: .start, waitingUpTo: .seconds(10))
  process.terminate(grace: .seconds(2))  // SIGTERM to the whole group, then SIGKILL
  try await process.waitUntilClosed()  // now the command is reaped and its output closed
  return output.chunks.payload.description
}
