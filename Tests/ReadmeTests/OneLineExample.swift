import ProcessHost

func inALineEach() async throws {
  let session = Session(timestamps: true)
  let process = try await CommandHost.shared.launch(
    .shell("echo listening; echo no >&2"), into: session)
  print(await session.wait(for: "listening").outcome)  // wherever chunks end
  if let exit = try await process.waitForExit(upTo: .seconds(10)) { print(exit) }
  print(session.output())  // chunks #1 to #2 (13 bytes); exited with 0, closed
  print(session.tail(lines: 1).map(\.text))
  for await line in session.lines(of: .stdout) { print(line.text, line.missedBytes ?? 0) }
  for chunk in session.output().chunks {
    print(chunk.text, String(chunk.data), chunk.data.count, chunk.timestamp ?? .zero)
  }
  print(try await CommandHost.shared.run(Command("date")).exit)
  do {
    _ = try await CommandHost.shared.run(Command("gti"))
  } catch {
    print(error)  // gti: command not found in PATH (/usr/bin:/bin)
  }
}
