import ProcessHost

func record(at path: String) async throws {
  let session = try Session(recordingTo: path, command: ["make", "all"])
  try await CommandHost.shared.launch(Command("make", "all"), into: session)
}

func follow(at path: String) async throws -> RecordedSession.State {
  let recording = try RecordedSession(at: path)
  print(recording.info.command, recording.state)
  for await output in recording.outputs() {
    for chunk in output.chunks { print(chunk) }
  }
  return recording.state  // ended, or abandoned if the recording program was killed
}

func keepOneDay(of path: String) throws {
  let directory = RecordingDirectory(path)
  for recording in try directory.contents().recordings {
    print(recording.info.id, recording.state)
  }
  try directory.sweep(endedLongerAgoThan: .seconds(86_400))
}
