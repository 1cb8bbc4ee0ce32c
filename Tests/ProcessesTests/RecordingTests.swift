import Foundation
@testable import Processes
import ReferenceModel
import Testing

/// Sessions in files, and what other programs read of them. The readers of these tests attach to
/// the file as another program would; the kernel tells their open file descriptions from the
/// session's.
@Suite(.timeLimit(.minutes(10))) struct RecordingTests {
  private let path = ScratchFile.newPath()

  private func record(
    capacity: Int = 1_000, id: String = "7", command: [String] = []
  ) throws -> Session {
    try Session(
      recordingTo: path, id: id, workspaceID: "builds", capacity: capacity, command: command)
  }

  /// Attaches to the file, and takes its name away.
  private func attach() throws -> RecordedSession {
    defer { unsafe unlink(path) }
    return try RecordedSession(at: path)
  }

  private func text(_ output: Output) -> [String] { output.chunks.map(\.data.description) }

  // MARK: Reading

  @Test("A recorded session reads like the session that records it")
  func reads() throws {
    let session = try record(capacity: 10)
    let recorded = try attach()
    #expect(session.isRecorded)
    #expect(!Session().isRecorded)
    #expect(recorded.path == path)
    #expect(recorded.capacity == 10)
    for (index, word) in ["one", "two", "three", "four"].enumerated() {
      session.append(word, to: index % 2 == 0 ? .stdout : .stderr)
      let (own, found) = (session.output(), recorded.output())
      #expect(text(found) == text(own))
      #expect(found.chunks.map(\.stream) == own.chunks.map(\.stream))
      #expect(found.cursor == own.cursor)
      #expect(found.lostBytes == own.lostBytes)
      #expect(!found.isDamaged)
    }
    #expect(recorded.lostBytes == session.lostBytes)
    #expect(recorded.totalBytes == 15)
    #expect(recorded.lastSeq == 4)
    session.setExit(3)
    #expect(recorded.output().exitCode == 3)
    #expect(recorded.exitCode == 3)
    #expect(recorded.isClosed)
  }

  @Test("A cursor of a session is one of its recording, and not of another")
  func cursors() throws {
    let session = try record()
    let recorded = try attach()
    session.append("abc")
    let cursor = session.output().cursor
    #expect(!recorded.output(since: cursor).isCursorForeign)
    #expect(recorded.output(since: cursor).chunks.isEmpty)
    #expect(!session.output(since: recorded.output().cursor).isCursorForeign)
    let other = Session()
    other.append("abc")
    let foreign = recorded.output(since: other.output().cursor)
    #expect(foreign.isCursorForeign)
    #expect(text(foreign) == ["abc"])
    var output = Output()
    recorded.read(since: other.output().cursor, into: &output)
    #expect(output.isCursorForeign)
    #expect(text(output) == ["abc"])
  }

  // MARK: State

  @Test("A recording is being written until it is closed; then it has ended, for good")
  func ended() throws {
    var session: Session? = try record()
    let recorded = try attach()
    #expect(recorded.state == .recording)
    session!.setExit(0, closing: false)
    #expect(recorded.state == .recording)
    session!.close()
    #expect(recorded.state == .ended)
    session = nil
    #expect(recorded.state == .ended)
    #expect(!recorded.output().isAbandoned)
    #expect(recorded.output().isComplete)
  }

  @Test("A recording whose session goes without being closed is abandoned, and readable")
  func abandoned() throws {
    var session: Session? = try record()
    let recorded = try attach()
    session!.append("last words")
    #expect(recorded.state == .recording)
    session = nil
    #expect(recorded.state == .abandoned)
    let output = recorded.output()
    #expect(output.isAbandoned)
    #expect(output.isComplete)
    #expect(text(output) == ["last words"])
    #expect("\(output)".hasSuffix("; running, abandoned by its recorder"))
    #expect("\(recorded)".hasSuffix("running, abandoned by its recorder"))
    #expect(recorded.isOfThisBoot)
  }

  @Test("A recording that was closed before its session went is never taken for abandoned")
  func closedAndGone() throws {
    var session: Session? = try record()
    session!.setExit(1)
    session = nil
    let recorded = try attach()
    #expect(recorded.state == .ended)
    #expect(!recorded.output().isAbandoned)
  }

  @Test("A recording that is abandoned has no more of one read than of the next")
  func abandonedWithMore() throws {
    var session: Session? = try record()
    for _ in 0..<3 { session!.append("abc") }
    let recorded = try attach()
    session = nil
    #expect(recorded.state == .abandoned)
    let output = recorded.output(maxBytes: 3)
    #expect(output.isAbandoned)
    #expect(output.hasMore)
    #expect(!output.isComplete)
    #expect(recorded.output(since: output.cursor).isComplete)
  }

  // MARK: Waiting

  /// Begins a wait, makes something happen, and returns the wait's output.
  private func output(
    of recorded: RecordedSession, since cursor: Cursor = .start, onThread usesThread: Bool,
    when event: () -> Void
  ) async -> Output {
    let task = Task {
      if usesThread {
        await onThread { recorded.waitForOutput(since: cursor, upTo: nil) }
      } else {
        await recorded.output(since: cursor, waitingUpTo: nil)
      }
    }
    while recorded.waiters.count == 0 { try? await Task.sleep(for: .milliseconds(1)) }
    event()
    return await task.value
  }

  @Test("A wait ends with output of the recording program", arguments: [false, true])
  func waitForOutput(onThread: Bool) async throws {
    let session = try record()
    let recorded = try attach()
    session.append("known")
    let cursor = recorded.output().cursor
    let output = await output(of: recorded, since: cursor, onThread: onThread) {
      session.append("news")
    }
    #expect(text(output) == ["news"])
  }

  @Test("A wait ends when the session is closed", arguments: [false, true])
  func waitForClose(onThread: Bool) async throws {
    let session = try record()
    let recorded = try attach()
    let output = await output(of: recorded, onThread: onThread) { session.close() }
    #expect(output.isClosed)
    #expect(output.isComplete)
  }

  @Test("A wait ends when the recording program has gone", arguments: [false, true])
  func waitForAbandonment(onThread: Bool) async throws {
    var session: Session? = try record()
    let recorded = try attach()
    let output = await output(of: recorded, onThread: onThread) { session = nil }
    #expect(output.isAbandoned)
    #expect(output.isComplete)
    #expect(output.chunks.isEmpty)
    #expect(session == nil)
  }

  @Test("A wait that finds the recording program gone returns at once")
  func waitWhenGone() async throws {
    do { _ = try record() }
    let recorded = try attach()
    #expect(await recorded.output(waitingUpTo: nil).isAbandoned)
    #expect(await onThread { recorded.waitForOutput(upTo: nil) }.isAbandoned)
  }

  @Test("A wait ends at its limit, and with its task")
  func limits() async throws {
    let session = try record()
    let recorded = try attach()
    #expect(await recorded.output(waitingUpTo: .milliseconds(30)).chunks.isEmpty)
    #expect(await onThread { recorded.waitForOutput(upTo: .milliseconds(30)) }.chunks.isEmpty)
    #expect(await recorded.output(waitingUpTo: .zero).chunks.isEmpty)
    let task = Task { await recorded.output(waitingUpTo: nil) }
    try await Task.sleep(for: .milliseconds(3))
    task.cancel()
    #expect(await task.value.chunks.isEmpty)
    #expect(session.isAlive)
  }

  @Test("A waiter looks after 1, 2, 4, 8, 16 and then every 20 ms, and never beyond its limit")
  func pollIntervals() throws {
    var interval = PollInterval()
    var lengths: [Int] = []
    for _ in 0..<8 {
      let before = ContinuousClock.now
      let next = interval.next(until: nil)
      let end = try #require(next)
      lengths.append(Int((end - before) / .milliseconds(1)))
      #expect(end - ContinuousClock.now <= .milliseconds(20))
    }
    for (length, least) in zip(lengths, [1, 2, 4, 8, 16, 20, 20, 20]) { #expect(length >= least) }
    let soon = ContinuousClock.now + .microseconds(1)
    let end = interval.next(until: soon)
    #expect(end == nil || end == soon)
    #expect(interval.next(until: .now - .seconds(1)) == nil)
  }

  @Test("A sequence of outputs has all of a recording, and ends with the session")
  func outputs() async throws {
    let session = try record()
    let recorded = try attach()
    let words = (1...50).map { "word \($0)" }
    let reader = Task {
      var found: [String] = []
      var last = Output()
      for await output in recorded.outputs() {
        found += output.chunks.map(\.data.description)
        last = output
      }
      return (found, last)
    }
    for word in words {
      session.append(word)
      await Task.yield()
    }
    session.setExit(4)
    let (found, last) = await reader.value
    #expect(found == words)
    #expect(last.exitCode == 4)
    #expect(last.isComplete)
  }

  @Test("A sequence of outputs ends with the recording program, and says so")
  func outputsOfAbandoned() async throws {
    var session: Session? = try record()
    let recorded = try attach()
    session!.append("one")
    session!.append("two")
    session = nil
    var outputs: [Output] = []
    for await output in recorded.outputs(maxBytes: 1) { outputs.append(output) }
    #expect(outputs.flatMap(text) == ["one", "two"])
    #expect(outputs.last?.isAbandoned == true)
    #expect(outputs.last?.isComplete == true)
  }

  // MARK: What the file says

  @Test("A recording knows its session, its command and its program")
  func info() throws {
    let before = RecordingInfo.wallClock
    let session = try record(id: "build-ü", command: ["make", "", "a b", "x=y"])
    let info = try attach().info
    #expect(info.id == "build-ü")
    #expect(info.workspaceID == "builds")
    #expect(info.command == ["make", "", "a b", "x=y"])
    #expect(!info.isCommandCut)
    #expect(info.recorderPID == getpid())
    #expect(info.start >= before)
    #expect(info.start <= RecordingInfo.wallClock)
    #expect(info.epoch == session.epoch)
    #expect(session.id == "build-ü")
  }

  @Test("A command's words need not be text")
  func bytes() throws {
    let words: [[UInt8]] = [[0xff, 0xfe], [0x3d], [], Array(0x01...0xff)]
    let session = try Session(recordingTo: path, commandBytes: words)
    let info = try attach().info
    #expect(info.commandBytes == words)
    #expect(info.command[0] == "\u{fffd}\u{fffd}")
    #expect(info.id == session.id)
    #expect(session.workspaceID == "")
  }

  @Test("A command that has no room loses its last words, and says so", arguments: [0, 1, 4_000])
  func cutCommand(length: Int) throws {
    let words = Array(repeating: String(repeating: "x", count: length), count: 1_000)
    let session = try record(command: words)
    let info = try attach().info
    #expect(info.isCommandCut)
    #expect(info.command.count < 1_000)
    #expect(info.command == Array(words.prefix(info.command.count)))
    #expect(info.id == session.id)
    let room = 4_000 - session.reader.metadata.count
    #expect(0..<(length + 5) ~= room)
  }

  @Test("An id that has no room is an error, and there is no file")
  func longID() {
    #expect(throws: RingFileError.self) { _ = try record(id: String(repeating: "x", count: 4_000)) }
    #expect(unsafe access(path, F_OK) != 0)
  }

  @Test("An id is cut at a zero byte in the file, and is whole in the session")
  func zeroInID() throws {
    let session = try record(id: "a\0b")
    #expect(session.id == "a\0b")
    #expect(try attach().info.id == "a")
  }

  @Test("Metadata that make no sense are an empty description")
  func senseless() {
    for text in ["", "\0\0\0", "id", "=", "epoch=x\0pid=99999999999\0start=-\0", "other=1\0"] {
      let info = RecordingInfo(decoding: Array(text.utf8))
      #expect(info.id == "")
      #expect(info.epoch == 0)
      #expect(info.recorderPID == 0)
      #expect(info.start == .zero)
      #expect(info.commandBytes == [])
      #expect(!info.isCommandCut)
    }
  }

  @Test("The PID of a session's process is there once it is noted")
  func childPID() throws {
    let session = try record()
    let recorded = try attach()
    #expect(recorded.childPID == nil)
    session.noteChild(pid: 4_711)
    #expect(recorded.childPID == 4_711)
    session.noteChild(pid: -1)
    #expect(recorded.childPID == nil)
    Session().noteChild(pid: 1)
  }

  @Test("The last activity is the recording's start, then that of the last append or exit")
  func lastActivity() throws {
    let time = ManualTime()
    let session = try Session(recordingTo: path, clock: time.clock)
    let recorded = try attach()
    #expect(recorded.lastActivity == recorded.info.start)
    time.advance(by: .seconds(1))
    let before = RecordingInfo.wallClock
    session.append("abc")
    let first = recorded.lastActivity
    #expect(first >= before)
    #expect(first <= RecordingInfo.wallClock)
    time.advance(by: .seconds(1))
    let later = RecordingInfo.wallClock
    session.setExit(0)
    #expect(recorded.lastActivity >= later)
  }

  @Test("Activity without output is noted in the file")
  func activityWithoutOutput() throws {
    let time = ManualTime()
    let session = try Session(recordingTo: path, clock: time.clock)
    let recorded = try attach()
    for _ in 0..<2 {
      let before = RecordingInfo.wallClock
      time.advance(by: .seconds(1))
      session.noteActivity()
      #expect(recorded.lastActivity >= before)
      #expect(recorded.lastActivity <= RecordingInfo.wallClock)
    }
    #expect(recorded.lastSeq == 0)
  }

  // MARK: Damage

  @Test("[recording-damaged] A file that is cut short is no longer whole")
  func cutShort() throws {
    let session = try record()
    let recorded = try RecordedSession(at: path)
    defer { unsafe unlink(path) }
    session.append("abc")
    #expect(recorded.isWhole)
    let size = try #require(
      try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int)
    // The last page stays, so that nothing here can raise SIGBUS.
    for (change, isWhole) in [(-1, false), (0, true), (1, true)] {
      #expect(unsafe truncate(path, off_t(size + change)) == 0)
      #expect(recorded.isWhole == isWhole)
    }
    #expect(text(recorded.output()) == ["abc"])
    #expect(unsafe truncate(path, 0) == 0)
    #expect(!recorded.isWhole)
    // So that nothing is written to what is gone.
    #expect(unsafe truncate(path, off_t(size)) == 0)
    #expect(recorded.isWhole)
    #expect(session.isAlive)
  }

  @Test("A recording with damaged descriptors says so, and ends its readers")
  func damaged() async throws {
    let session = try record()
    session.append("one")
    session.append("two")
    let recorded = try RecordedSession(at: path)
    let file = unsafe open(path, O_RDWR)
    // Seq 2's descriptor, behind the header's 384 bytes and the metadata's 4,096.
    let bytes = [UInt8](repeating: 0xff, count: 8)
    #expect(unsafe pwrite(file, bytes, 8, 4_496) == 8)
    close(file)
    _ = try attach()
    let output = recorded.output()
    #expect(output.isDamaged)
    #expect(output.chunks.isEmpty)
    #expect(output.isComplete)
    #expect("\(output)" == "no chunks, damaged; running")
    var count = 0
    for await output in recorded.outputs() {
      count += 1
      #expect(output.isDamaged)
    }
    #expect(count == 1)
    #expect(session.isAlive)
  }

  @Test("A recording needs a name that is free, and a file that is a ring")
  func errors() throws {
    let session = try record()
    defer { unsafe unlink(path) }
    #expect(throws: RingFileError(path, .exists)) { _ = try record() }
    #expect(session.lastSeq == 0)
    #expect(throws: RingFileError("/dev/null", .notARing)) {
      _ = try RecordedSession(at: "/dev/null")
    }
  }
}
