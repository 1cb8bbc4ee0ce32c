import Foundation
import OutputRing
import ProcessHost
import Testing

/// The examples of the README and the libraries' articles.
@Suite struct ReadmeTests {
  @Test("The first example runs and returns the command's exit code")
  func exampleRuns() async throws {
    #expect(try await buildAndWatch() == 2)
  }

  @Test("The examples of one call and of a wait with a limit run")
  func runExampleRuns() async throws {
    await printStatus(of: Command("sh", "-c", "echo fine"))
    await printStatus(of: Command("no-such-command"))
    let process = try await CommandHost.shared.launch(Command("true"), into: Session())
    try await wait(for: process)
  }

  @Test("The example of everything in a line each runs")
  func oneLineExampleRuns() async throws { try await inALineEach() }

  @Test("The dialogue example runs and returns the answer")
  func dialogueRuns() async throws { #expect(try await square(of: 12) == "144\n") }

  @Test("The shutdown example ends its processes, and tells them why, before it ends")
  func shutdownRuns() async throws {
    let result = try await #require(
      processExitsWith: .exitCode(128 + SIGTERM), observing: [\.standardOutputContent]
    ) {
      let command = Command.shell("trap 'echo told; exit 0' USR1; while :; do sleep 1; done")
      let host = CommandHost()
      let session = Session(id: "victim", workspaceID: "tests")
      let process = try await host.launch(command, into: session)
      endProcesses(of: host, at: [SIGTERM], telling: process)
      print("pid=\(process.processID)=")
      _ = fflush(nil)
      kill(getpid(), SIGTERM)
      try await Task.sleep(for: .seconds(50))
    }
    let output = String(decoding: result.standardOutputContent, as: UTF8.self)
    let process = try #require(output.split(separator: "=").compactMap { Int32($0) }.first)
    #expect(kill(process, 0) != 0)
  }

  @Test("[lines] [tail-lines] The article's examples of lines run")
  func linesRun() async throws {
    let session = Session(id: "lines")
    session.append("one\ntwo", to: .stdout)
    session.close()
    await printLines(of: session)
    await logEnd(of: session)
  }

  @Test("[wait-for] [wait-for-line] The article's server is waited for")
  func serverIsWaitedFor() async throws {
    let server = Command("sh", "-c", "printf 'listening on po'; sleep 0.01; echo 'rt 8080'")
    #expect(try await startServer(server, into: Session()) == "8080")
    let failure = Command("sh", "-c", "exit 3")
    #expect(try await startServer(failure, into: Session()) == nil)
  }

  @Test("The producer example runs and closes its session")
  func producerRuns() {
    let output = countDown(from: 3)
    #expect(output.chunks.payload.description == "3\n2\n1\n")
    #expect(output.isComplete)
  }

  @Test("The example of a head keeps both ends, and says how much lies between")
  func headRuns() {
    let text = summary(of: (1...1_000).map(String.init))
    #expect(text.hasPrefix("1\n2\n"))
    #expect(text.hasSuffix("\n999\n1000\n"))
    #expect(text.contains("… 896 bytes left out …"))
  }

  @Test("The example of a visit counts newlines, and the example of a lossless reader gets all")
  func ringAndLossless() async throws {
    var writer = RingWriter(RingLayout(capacity: 1_000))
    writer.append(contentsOf: ["one\n", "two\nthree\n"].map(\.utf8))
    let counts = countNewlines(in: writer.reader)
    #expect(counts.newlines == 3)
    #expect(counts.unknownBytes == 0)
    var size = 0
    let missed = try await export(Command("seq", "1000000")) { size += $0.count }
    #expect(missed == 0)
    #expect(size == 6_888_896)
  }

  @Test("[recording-once] The article's recording is read by another, and is not written again")
  func recordingExample() async throws {
    let path = "/tmp/readme-\(UInt64.random(in: 0 ... .max)).ring"
    defer { unsafe _ = unlink(path) }
    let session = try Session(recordingTo: path, command: ["echo", "done"])
    #expect(throws: RingFileError.self) { _ = try Session(recordingTo: path) }
    try await CommandHost.shared.launch(Command("echo", "done"), into: session)
    #expect(try await follow(at: path) == .ended)
    #expect(try RecordedSession(at: path).output().chunks.payload.description == "done\n")
    #expect(throws: RingFileError.self) { _ = try Session(recordingTo: path) }
  }

  @Test("[recording-news] The article's follower of a recording is told of news and the exit")
  func newsExample() async throws {
    let path = "/tmp/readme-\(UInt64.random(in: 0 ... .max)).ring"
    defer { unsafe _ = unlink(path) }
    let session = try Session(recordingTo: path)
    let recording = try RecordedSession(at: path)
    let (notices, sender) = AsyncStream.makeStream(of: Void.self)
    let follower = Task { await follow(recording, toldBy: notices) }
    try await CommandHost.shared.launch(.shell("echo done; exit 3"), into: session)
    for await _ in session.outputs() { sender.yield() }
    let (bytes, exit) = await follower.value
    #expect(bytes == 5)
    #expect(exit == .exited(3))
  }

  @Test("The article's sweep keeps a recording that ended just now")
  func recordingSweep() throws {
    var template = Array("/tmp/readme.XXXXXX".utf8CString)
    let directory = unsafe String(cString: mkdtemp(&template))
    defer { unsafe _ = (unlink(directory + "/a.ring"), rmdir(directory)) }
    try Session(recordingTo: directory + "/a.ring").close()
    try keepOneDay(of: directory)
    #expect(try RecordingDirectory(directory).contents().recordings.map(\.state) == [.ended])
  }

  @Test("An exclusive producer records to a file, and its end closes the recording")
  func recordingProducer() throws {
    let path = "/tmp/readme-\(UInt64.random(in: 0 ... .max)).ring"
    defer { unsafe _ = unlink(path) }
    do {
      var producer = try Session.Producer(recordingTo: path, id: "p", workspaceID: "w")
      producer.append("done\n")
      #expect(try RecordedSession(at: path).state == .recording)
    }
    let recording = try RecordedSession(at: path)
    #expect(recording.state == .ended)
    #expect(recording.id == "p")
    #expect(recording.workspaceID == "w")
    #expect(recording.output().chunks.payload.description == "done\n")
  }

  @Test("[timestamps] The article's example finds when the first error came")
  func timestampExample() {
    let session = Session(timestamps: true)
    session.append("out")
    #expect(firstError(in: session) == nil)
    session.append("err", to: .stderr)
    let times = firstError(in: session)
    #expect(times?.sinceStart == session.output().chunks[1].timestamp)
    #expect(times.map { $0.since1970 - $0.sinceStart } == session.start)
  }
}
