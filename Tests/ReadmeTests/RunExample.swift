import ProcessHost

func printStatus(of command: Command, on host: CommandHost = .shared) async {
  do {
    let result = try await host.run(command, timeLimit: .seconds(60))
    print(result.exit, result.isTimedOut ? "(timed out)" : "", result.duration)
    print(PlainText(result.output.chunks.payload))  // without escape sequences
    if result.lostBytes > 0 { print("\(result.lostBytes) bytes came before that") }
  } catch {
    print("\(error)")  // such as: gti: command not found in PATH (/usr/bin:/bin)
  }
}

func wait(for process: HostedProcess) async throws {
  if let exit = try await process.waitForExit(upTo: .seconds(5)) {
    print(exit, process.session.output())  // exited with 0 chunks #1 to #3 (120 bytes); exited …
  } else {
    print("still running: \(process)")
  }
}
