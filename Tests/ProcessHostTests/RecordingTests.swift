import Processes
import Testing

@testable import ProcessHost

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What the file of a recorded session tells of its process.
@Suite(.timeLimit(.minutes(10))) struct RecordingTests {
  private let directory = TemporaryDirectory()
  private var path: String { directory.path + "/ring" }

  private func record() throws -> (Session, RecordedSession) {
    let session = try Session(recordingTo: path)
    return (session, try RecordedSession(at: path))
  }

  @Test(
    "[recording-process] A recording tells how its process ended",
    arguments: [
      ("exit 0", ProcessExit.exited(0)), ("exit 3", .exited(3)), ("exit 137", .exited(137)),
      ("exit 255", .exited(255)), ("kill -9 $$", .signaled(9)), ("kill -TERM $$", .signaled(15)),
    ])
  func exits(line: String, exit: ProcessExit) async throws {
    let (session, recording) = try record()
    #expect(recording.exit == nil)
    let process = try await CommandHost.shared.launch(.shell(line), into: session)
    #expect(try await process.waitUntilClosed() == exit)
    #expect(recording.exit == exit)
    #expect(recording.exitCode == exit.code)
    #expect(recording.resourceUsage == process.resourceUsage)
    #expect(recording.resourceUsage != nil)
    #expect(!recording.isTimedOut)
    #expect(recording.droppedBytes == 0)
    #expect(recording.childPID == process.processID)
    // Another reader, after the end of the session, finds the same.
    let other = try RecordedSession(at: path)
    #expect(other.exit == exit)
    #expect(other.resourceUsage == process.resourceUsage)
  }

  @Test("[recording-process] A reader that finds the exit finds what was known of it by then")
  func order() async throws {
    for _ in 0..<20 {
      let (session, recording) = try record()
      var command = Command.shell("kill -9 $$")
      command.timeLimit = .seconds(3_600)
      let reader = Task.detached {
        while recording.isAlive { await Task.yield() }
        return (recording.exit, recording.resourceUsage, recording.childPID)
      }
      let process = try await CommandHost.shared.launch(command, into: session)
      let (exit, usage, pid) = await reader.value
      #expect(exit == .signaled(9))
      #if os(Linux)
        #expect(usage != nil)
      #endif
      #expect(pid == process.processID)
      try await process.waitUntilClosed()
      unsafe unlink(path)
    }
  }

  @Test("[recording-process] A recording tells that the time of its process was up")
  func timedOut() async throws {
    let (session, recording) = try record()
    var command = Command.shell("exec sleep 1000")
    command.timeLimit = .milliseconds(10)
    let process = try await CommandHost.shared.launch(command, into: session)
    let exit = try await process.waitForExit()
    #expect(exit == .signaled(15))
    #expect(recording.exit == exit)
    #expect(recording.isTimedOut)
    #expect(process.isTimedOut)
  }

  @Test("[recording-process] A recording counts the bytes that came after its close")
  func dropped() async throws {
    let (session, recording) = try record()
    let gate = directory.path + "/gate"
    #expect(unsafe mkfifo(gate, 0o600) == 0)
    var command = Command.shell("(read x <\(gate); printf 12345) & exit 0")
    (command.quietGrace, command.lingerLimit) = (.milliseconds(20), nil)
    let process = try await CommandHost.shared.launch(command, into: session)
    try await process.waitUntilClosed()
    #expect(recording.isClosed)
    #expect(recording.droppedBytes == 0)
    try await capture(.shell("echo go >\(gate)"))
    await process.waitUntilOver()
    #expect(process.droppedBytes == 5)
    #expect(recording.droppedBytes == 5)
  }

  @Test("A process without a cgroup leaves open whether it was killed for lack of memory")
  func unknownKill() async throws {
    let (session, recording) = try record()
    let process = try await CommandHost.shared.launch(Command("true"), into: session)
    try await process.waitUntilClosed()
    #expect(process.wasOOMKilled == nil)
    #expect(recording.wasOOMKilled == nil)
    session.note(wasOOMKilled: false)
    #expect(recording.wasOOMKilled == false)
    session.note(wasOOMKilled: nil)
    #expect(recording.wasOOMKilled == false)
    session.note(wasOOMKilled: true)
    #expect(recording.wasOOMKilled == true)
  }

  @Test("A recording without a process, or of an earlier version, tells nothing of one")
  func unknown() throws {
    let (session, recording) = try record()
    func expectNothing() {
      #expect(recording.exit == nil)
      #expect(recording.resourceUsage == nil)
      #expect(!recording.isTimedOut)
      #expect(recording.wasOOMKilled == nil)
      #expect(recording.droppedBytes == 0)
      #expect(recording.childPID == nil)
    }
    expectNothing()
    session.setExit(3)
    expectNothing()
    #expect(recording.exitCode == 3)
  }

  @Test("An end that nobody knows, and one that contradicts the exit code, are told as such")
  func contradictions() throws {
    let (session, recording) = try record()
    session.note(.unknown)
    #expect(recording.exit == nil)
    session.setExit(255)
    #expect(recording.exit == .unknown)
    session.note(.signaled(9))
    #expect(recording.exit == nil)
    session.note(.exited(255))
    #expect(recording.exit == .exited(255))
    for code: Int32 in [-1, 256, .min, .max] {
      session.setExit(code)
      #expect(recording.exit == nil)
    }
  }

  @Test("[recording-damaged] Any notes of a file tell what can be calculated with")
  func anyNotes() throws {
    let (session, recording) = try record()
    let words: [UInt64] = [
      0, 1, 2, 3, 9, 255, 256, 257, 265, 320, 321, 512, 1 << 31, 1 << 32, 1 << 53, 1 << 53 + 1,
      1 << 62, 1 << 63, .max, .max - 255, .max - 256,
    ]
    for code: Int32 in [0, 1, 128, 137, 192, 255, 256, -1, .min, .max] {
      session.setExit(code)
      for word in words {
        for index in 0..<16 { session.reader.setNote(index, to: word) }
        if case .signaled(let signal) = recording.exit { #expect(1...64 ~= signal) }
        if let exit = recording.exit, exit != .unknown { #expect(exit.code == code) }
        _ = recording.exit.map { "\($0)" }
        // Each alone: one word decides whether the usage is known.
        session.reader.setNote(5, to: 1)
        if let usage = recording.resourceUsage {
          for time in [usage.userTime, usage.systemTime] {
            #expect(time >= .zero)
            #expect(Int64(time / .microseconds(1)) * 1_000 >= 0)
          }
          #expect(usage.peakResidentBytes >= 0)
        } else {
          #expect(word > 1 << 53)
        }
        #expect(recording.droppedBytes >= 0)
        #expect(recording.childPID ?? 1 > 0)
        #expect(recording.lastActivity >= recording.info.start)
        _ = (recording.isTimedOut, recording.wasOOMKilled)
      }
    }
  }

  @Test("[lossless] A reader that is slower than the command of a recorded session misses nothing")
  func lossless() async throws {
    let (session, recording) = try record()
    let reader = LosslessReader(timeLimit: nil)
    try await CommandHost.shared.launch(
      Command("head", "-c", "3000000", "/dev/zero"), into: session, waitingFor: reader)
    #expect(await eventually { reader.gate.isShut })
    #expect(session.isRecorded)
    var total = 0
    var missed = 0
    for await output in reader.outputs(of: session) {
      total += output.chunks.payload.count
      missed += output.missedChunks
      // What others read is the same.
      #expect(recording.totalBytes >= total)
    }
    #expect(total == 3_000_000)
    #expect(missed == 0)
    #expect(recording.totalBytes == 3_000_000)
    #expect(recording.exit == .exited(0))
    #expect(recording.state == .ended)
  }

  @Test("A lossless reader that reads the recording acknowledges what it has received")
  func losslessElsewhere() async throws {
    let (session, recording) = try record()
    let reader = LosslessReader(timeLimit: nil)
    try await CommandHost.shared.launch(
      Command("head", "-c", "3000000", "/dev/zero"), into: session, waitingFor: reader)
    var total = 0
    for await output in recording.outputs() {
      total += output.chunks.payload.count
      #expect(output.missedChunks == 0)
      #expect(reader.acknowledge(output.cursor))
    }
    #expect(total == 3_000_000)
  }

  @Test("A launch that fails notes no process, and the next one notes its own")
  func launchFails() async throws {
    let (session, recording) = try record()
    await #expect(throws: LaunchError.self) {
      try await CommandHost.shared.launch(Command("/nonexistent"), into: session)
    }
    #expect(recording.childPID == nil)
    #expect(recording.exit == nil)
    let process = try await CommandHost.shared.launch(Command("true"), into: session)
    #expect(try await process.waitUntilClosed() == .exited(0))
    #expect(recording.childPID == process.processID)
    #expect(recording.exit == .exited(0))
  }
}
