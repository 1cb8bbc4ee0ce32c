import Processes
import Testing

@testable import ProcessHost

/// What a command writes, and how it ends, arrives in its session.
@Suite struct CaptureOutputTests {
  @Test("The session receives stdout, stderr and the exit code")
  func bothStreamsAndTheExitCodeArrive() async throws {
    let session = try await capture(.shell("printf out; printf err >&2; exit 3"))
    #expect(text(session) == "out")
    #expect(text(session, .stderr) == "err")
    #expect(session.exitCode == 3)
    #expect(session.isClosed)
  }

  @Test("[head] output of a command fills the head to its last byte")
  func headOfACommandsOutput() async throws {
    let session = Session(capacity: 5_000, headCapacity: 10_001)
    let process = try await CommandHost.shared.launch(Command("seq", "100000"), into: session)
    try await process.waitUntilClosed()
    let output = session.output()
    let all = Array((1...100_000).map { "\($0)\n" }.joined().utf8)
    let payload = Array(output.chunks.payload)
    #expect(payload.prefix(10_001) == all.prefix(10_001))
    #expect(payload.dropFirst(10_001) == all.suffix(payload.count - 10_001))
    #expect(payload.count + session.lostBytes == all.count)
    #expect(output.missedBytes == session.lostBytes)
  }

  @Test("The command receives its arguments unchanged")
  func argumentsArriveAsTheyAre() async throws {
    let command = Command("printf", "[%s]", "a b", "", "$HOME", "*", "\"'\\", "ä\n")
    let session = try await capture(command)
    #expect(text(session) == "[a b][][$HOME][*][\"'\\][ä\n]")
  }

  @Test("The command's argument 0 is the name by which it was launched")
  func theCommandSeesTheNameItWasCalledBy() async throws {
    #expect(text(try await capture(.shell("printf %s \"$0\""))) == "/bin/sh")
    #expect(text(try await capture(Command("sh", "-c", "printf %s \"$0\""))) == "sh")
  }

  @Test("The command's environment is inherited, changed or replaced")
  func environmentIsInheritedChangedOrReplaced() async throws {
    let show = "printf '%s|%s|%s' \"${HOME-none}\" \"${ADDED-none}\" \"${PATH-none}\""
    var command = Command.shell(show)
    let home = String(decoding: try #require(environmentVariable("HOME")), as: UTF8.self)
    let path = String(decoding: try #require(environmentVariable("PATH")), as: UTF8.self)
    #expect(text(try await capture(command)) == "\(home)|none|\(path)")
    command.environment = .inherited(changing: ["ADDED": "1", "HOME": nil])
    #expect(text(try await capture(command)) == "none|1|\(path)")
    command.environment = ["ADDED": "x=y", "PATH": "/bin"]
    #expect(text(try await capture(command)) == "none|x=y|/bin")
    let all = Command("/usr/bin/env", arguments: [], environment: ["ONLY": "this"])
    #expect(text(try await capture(all)) == "ONLY=this\n")
  }

  @Test("The command starts in its working directory")
  func workingDirectoryIsWhereItStarts() async throws {
    let directory = TemporaryDirectory()
    _ = directory.file("tool", "#!/bin/sh\npwd -P\n", mode: 0o755)
    let session = try await capture(
      Command("./tool", arguments: [], workingDirectory: directory.path))
    #expect(text(session) == directory.path + "\n")
  }

  @Test("The host looks for a command in the PATH of the command's environment")
  func namesAreLookedUpInThePathTheCommandSees() async throws {
    let directory = TemporaryDirectory()
    _ = directory.file("tool", "#!/bin/sh\necho mine\n", mode: 0o755)
    let command = Command("tool", arguments: [], environment: ["PATH": "x::\(directory.path)"])
    #expect(text(try await capture(command)) == "mine\n")
  }

  @Test("Bytes that are not UTF-8 reach the session unchanged")
  func bytesAreNotDecoded() async throws {
    let session = try await capture(
      .shell("printf '\\377\\000\\303(\\355\\240\\200'; printf '\\300' >&2"))
    let output = session.output()
    let (stdout, stderr) = (
      output.chunks.filter { $0.stream == .stdout }.flatMap { Array($0.data) },
      output.chunks.filter { $0.stream == .stderr }.flatMap { Array($0.data) }
    )
    #expect(stdout == [0xff, 0, 0xc3, 0x28, 0xed, 0xa0, 0x80])
    #expect(stderr == [0xc0])
  }

  @Test("The host captures 100 MB without a newline, and counts the lost bytes")
  func aHundredMegabytesWithoutANewline() async throws {
    let session = try await capture(Command("head", "-c", "100000000", "/dev/zero"))
    let output = session.output()
    #expect(session.totalBytes == 100_000_000)
    #expect(output.lostBytes + output.chunks.payload.count == 100_000_000)
    #expect(output.chunks.payload.count > Session.maxBufferBytes - 65_536)
    #expect(output.missedBytes == output.lostBytes)
  }

  @Test("The command's stdin is empty by default")
  func stdinIsEmpty() async throws {
    #expect(text(try await capture(.shell("cat; echo end"))) == "end\n")
  }

  @Test("The exit code of a command that a signal ended is 128 plus the signal's number")
  func deathBySignalIs128PlusItsNumber() async throws {
    let session = freshSession()
    let process = try await CommandHost.shared.launch(.shell("kill -9 $$"), into: session)
    #expect(try await process.waitUntilClosed() == .signaled(9))
    #expect(session.exitCode == 137)
  }

  @Test("The command starts with every signal at its default and none blocked")
  func signalsAreAtTheirDefaultsInTheCommand() async throws {
    // This program ignores SIGPIPE from now on; `yes` must not.
    ignoreBrokenPipes()
    let session = try await capture(.shell("yes | head -1; trap"))
    #expect(text(session) == "y\n")
    let status = text(try await capture(Command("cat", "/proc/self/status")))
    for name in ["SigBlk:", "SigIgn:", "SigCgt:"] {
      let line = try #require(status.split(separator: "\n").first { $0.hasPrefix(name) })
      let mask = UInt64(line.split(separator: "\t")[1], radix: 16)
      // 32 and 33 are the C library's own.
      #expect(mask.map { $0 & 0x7fff_ffff } == 0, "\(line)")
    }
  }

  @Test("[descriptors] The command inherits no descriptor of this program")
  func noDescriptorOfThisProgramIsInherited() async throws {
    let session = try await capture(.shell("ls /proc/self/fd | wc -l"))
    // 0, 1, 2, and the one with which ls looks.
    #expect(text(session) == "4\n")
  }

  @Test("The session counts every byte that exceeds its capacity")
  func everyByteIsCountedBeyondTheCap() async throws {
    let session = try await capture(.shell("head -c 30000000 /dev/zero"))
    let output = session.output()
    #expect(output.cursor.offset == 30_000_000)
    #expect(output.lostBytes + output.chunks.payload.count == 30_000_000)
    #expect(900_000...1_048_576 ~= output.chunks.payload.count)
    #expect(output.missedBytes == output.lostBytes)
  }

  @Test("[stream-order] Each stream keeps the order in which the command wrote it")
  func eachStreamKeepsItsOrder() async throws {
    let lines = 40_000
    let session = try await capture(.shell("seq \(lines) & seq -f e%.0f \(lines) >&2 & wait"))
    #expect(session.lostBytes == 0)
    #expect(text(session) == (1...lines).map { "\($0)\n" }.joined())
    #expect(text(session, .stderr) == (1...lines).map { "e\($0)\n" }.joined())
  }

  @Test("Short-lived commands lose no output")
  func shortLivedCommandsLoseNothing() async throws {
    for round in 1...200 {
      let session = try await capture(Command("head", "-c", "3000000", "/dev/zero"))
      let output = session.output()
      try #require(output.cursor.offset == 3_000_000, "round \(round)")
      try #require(output.lostBytes + output.chunks.payload.count == 3_000_000)
    }
  }

  @Test("[exit-code] A reader that sees the exit also sees all that the process wrote before")
  func whoeverSeesTheExitHasAllThatTheProcessWrote() async throws {
    // A grandchild holds the pipe, so that only the exit tells that the process is at its end.
    for round in 1...50 {
      let session = freshSession()
      let process = try await CommandHost.shared.launch(
        .shell("sleep 1000 & head -c 60000 /dev/zero; printf end"), into: session)
      _ = try await process.waitForExit()
      #expect(session.output().cursor.offset == 60_003, "round \(round)")
      try process.signal(.kill)
      try await process.waitUntilClosed()
    }
  }

  @Test("A session of 100 bytes captures a large output, and retains no more than 100 bytes")
  func smallSessionsWork() async throws {
    let session = Session(id: "small", workspaceID: "tests", capacity: 100)
    let process = try await CommandHost.shared.launch(
      Command("head", "-c", "1000000", "/dev/zero"), into: session)
    try await process.waitUntilClosed()
    #expect(session.output().cursor.offset == 1_000_000)
    #expect(session.output().chunks.payload.count <= 100)
  }
}
