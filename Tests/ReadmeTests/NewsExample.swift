import ProcessHost

func follow(
  _ recording: RecordedSession, toldBy notices: AsyncStream<Void>
) async -> (bytes: Int, exit: ProcessExit?) {
  recording.setNewsSource { _ in true }  // a notice follows everything that the program does
  let listener = Task {
    for await _ in notices { recording.noteNews() }
    recording.setNewsSource(nil)  // the connection is gone: waits look at intervals again
  }
  defer { listener.cancel() }
  var bytes = 0
  for await output in recording.outputs() { bytes += output.chunks.payload.count }
  return (bytes, recording.exit)
}
