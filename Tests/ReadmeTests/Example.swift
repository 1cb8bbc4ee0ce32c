import ProcessHost

func buildAndWatch() async throws -> Int32? {
  // To its end in one call:
  let result = try await CommandHost.shared.run(Command("uname", "-s"), timeLimit: .seconds(60))
  print(result.exit, result.output.chunks.payload)

  // Or watched while it runs, by as many readers as you like: the command waits for none of them.
  let session = Session(id: "build-7")
  try await CommandHost.shared.launch(.shell("echo compiling; echo no >&2; exit 2"), into: session)
  var exitCode: Int32?
  for await output in session.outputs() {
    if output.missedChunks > 0 { print("missed \(output.missedBytes ?? 0) bytes") }
    for chunk in output.chunks {
      print(chunk.seq, chunk.stream, chunk.data)  // data: the raw bytes, never split or joined
    }
    exitCode = output.exitCode
  }
  return exitCode
}
