import ProcessHost

func export(_ command: Command, _ upload: (ChunkBytes) async -> Void) async throws -> Int {
  let reader = LosslessReader(timeLimit: .seconds(600))
  let session = Session()
  try await CommandHost.shared.launch(command, into: session, waitingFor: reader)
  var missed = 0
  for await output in reader.outputs(of: session) {
    await upload(output.chunks.payload)  // meanwhile the command fills its pipes, and then waits
    missed += output.missedBytes ?? 0  // 0, unless an upload took more than ten minutes
  }
  return missed
}
