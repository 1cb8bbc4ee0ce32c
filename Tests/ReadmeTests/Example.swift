import ProcessHost

func buildAndWatch() async throws -> Int32? {
  let session = Session(id: "build-7")
  let command = Command("sh", "-c", "echo compiling; echo 'no such file' >&2; exit 2")
  try await CommandHost.shared.launch(command, into: session)

  // As many readers as you like, each with its own position; the command waits for none of them.
  var exitCode: Int32?
  for await output in session.outputs() {
    if output.missedChunks > 0 {
      print("missed \(output.missedChunks) chunks, \(output.missedBytes ?? 0) bytes")
    }
    for chunk in output.chunks {
      print(chunk.seq, chunk.stream, chunk.data)  // data: the raw bytes, never split or joined
    }
    exitCode = output.exitCode
  }
  return exitCode
}
