import ProcessHost

func printLines(of session: Session) async {
  for await line in session.lines() {
    if line.missedChunks > 0 { print("missed \(line.missedBytes ?? 0) bytes") }
    print(line.stream, line.text)
  }
}

func logEnd(of session: Session) async {
  let tail = session.tail(lines: 20)
  for line in tail { print(line.text) }
  for await line in session.lines(since: tail.last?.cursor ?? .start) { print(line.text) }
}

func startServer(_ command: Command, into session: Session) async throws -> String? {
  try await CommandHost.shared.launch(command, into: session)
  let ready = await session.wait(for: "listening on port ", upTo: .seconds(30))
  switch ready.outcome {
  case .matched: return await port(of: session)
  case .exited(let code): print("the server ended with exit code \(code)")
  default: print("not listening yet: \(ready.outcome)")
  }
  return nil
}

func port(of session: Session) async -> String? {
  let ready = await session.wait(forLineOf: .stdout, upTo: .seconds(30)) { line in
    line.text.contains(/listening on port \d+/)
  }
  return ready.line?.text.firstMatch(of: /port (\d+)/).map { String($0.1) }
}
