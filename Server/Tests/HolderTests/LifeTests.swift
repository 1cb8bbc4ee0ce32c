import Foundation
import HolderProtocol
import ProcessHost
import Processes
import Testing

@Suite("The life of a holder", .timeLimit(.minutes(10)))
struct LifeTests {
  // MARK: Start

  @Test("A holder that is started by hand says that processd starts it")
  func byHand() async throws {
    let session = Session()
    let process = try await CommandHost.shared.launch(
      Command(builtExecutable("processd-holder")), into: session)
    #expect(try await process.waitUntilClosed().code == 64)
    let output = session.output()
    let text = String(decoding: output.chunks.flatMap { Array($0.data) }, as: UTF8.self)
    #expect(text.contains("processd"))
    #expect(output.chunks.allSatisfy { $0.stream == .stderr })
  }

  @Test("A holder tells the version of its protocol")
  func version() async throws {
    let text = try await text(Command(builtExecutable("processd-holder"), "--version"))
    #expect(text == "processd-holder \(HolderMessage.version)\n")
  }

  @Test("A holder whose daemon goes before its order is complete leaves nothing")
  func halfOrder() async throws {
    for isEmpty in [true, false] {
      let holder = try Holder(in: try StateDirectory())
      let order = LaunchOrder(
        files: holder.files, workspace: "", orphanTimeout: .seconds(60),
        command: Command("true"), environment: [:])
      if !isEmpty {
        try await holder.connection.send(Array(order.message.encoded.dropLast()))
      }
      holder.connection.close()
      #expect(try await holder.exit() == 1)
      #expect(holder.directory.names == [])
    }
  }

  @Test("An order that is no message leaves nothing")
  func malformedOrder() async throws {
    let holder = try Holder(in: try StateDirectory())
    try await holder.connection.send([UInt8](repeating: 0xff, count: 10))
    try await holder.connection.waitForEnd()
    #expect(try await holder.exit() == 1)
    #expect(holder.directory.names == [])
  }

  @Test("What comes before the order is unknown")
  func beforeOrder() async throws {
    let holder = try Holder(in: try StateDirectory())
    #expect(try await holder.connection.ask(.hello).kind == .unknown)
    let order = LaunchOrder(
      files: holder.files, workspace: "", orphanTimeout: .seconds(60), command: Command("true"),
      environment: [:])
    try await holder.launch(order)
    #expect(holder.answer.kind == .started)
    #expect(try await holder.exit() == 0)
  }

  @Test("A holder leads a session of its own, and ignores the signals of lost connections")
  func signals() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    #expect(getsid(holder.process) == holder.process)
    for signal in [SIGHUP, SIGPIPE] { kill(holder.process, signal) }
    #expect(try await holder.connection.ask(.hello).kind == .welcome)
    // The command has the usual signals again.
    #expect(
      try await holder.connection.ask(.signal) { $0.append(.signal, SIGHUP) }.kind == .done)
    #expect(try await holder.exit() == 0)
    #expect(try holder.recording().exitCode == 128 + SIGHUP)
  }

  // MARK: Without a daemon

  @Test("A command goes on without a daemon, and its end is in the ring")
  func daemonGone() async throws {
    let directory = try StateDirectory()
    let holder = try await Holder.launch(
      "while [ ! -e go ]; do sleep 0.05; done; echo went", in: directory
    ) { $0.command.workingDirectory = Command.Text(directory.path) }
    try directory.makeRecord()
    holder.connection.close()
    try Data().write(to: URL(fileURLWithPath: directory.path + "/go"))
    #expect(try await holder.exit() == 0)
    #expect(try await holder.output() == "went\n")
    #expect(try holder.recording().exitCode == 0)
    #expect(directory.names == ["go", "s.json", "s.ring"])
  }

  @Test("An orphan ends its command, and removes its files")
  func orphan() async throws {
    let directory = try StateDirectory()
    try directory.makeRecord()
    try directory.makeRecord("other")
    let holder = try await Holder.launch(
      "sleep 1000", in: directory, orphanTimeout: .milliseconds(100))
    #expect(directory.names == ["other.json", "s.json", "s.ring", "s.sock"])
    let recording = try holder.recording()
    holder.connection.close()
    #expect(try await holder.exit() == 0)
    #expect(!isRunning(holder.command))
    #expect(recording.exitCode == 143)
    #expect(recording.state == .ended)
    #expect(directory.names == ["other.json"])
  }

  @Test("The time of an orphan begins when its daemon goes", arguments: [0, -1, Int.min])
  func notOrphaned(timeout: Int) async throws {
    let directory = try StateDirectory()
    let holder = try await Holder.launch(
      "sleep 1000", in: directory, orphanTimeout: .nanoseconds(timeout))
    for _ in 0..<20 {
      #expect(try await holder.connection.ask(.hello).kind == .welcome)
      try await Task.sleep(for: .milliseconds(10))
    }
    #expect(isRunning(holder.command))
    holder.connection.close()
    #expect(try await holder.exit() == 0)
    #expect(directory.names == [])
  }

  @Test("An orphan's command gets its grace")
  func orphanGrace() async throws {
    let holder = try await Holder.launch(
      "trap '' TERM; echo ready; while :; do sleep 1; done",
      orphanTimeout: .milliseconds(100)
    ) { $0.command.terminationGrace = .milliseconds(300) }
    try await holder.output(contains: "ready")
    let recording = try holder.recording()
    holder.connection.close()
    #expect(try await holder.exit() == 0)
    #expect(recording.exitCode == 137)
    #expect(holder.directory.names == [])
  }

  @Test("A daemon that comes while an orphan ends keeps the files")
  func rescue() async throws {
    let directory = try StateDirectory()
    try directory.makeRecord()
    let holder = try await Holder.launch(
      "trap 'echo asked' TERM; echo ready; while :; do sleep 1; done", in: directory,
      orphanTimeout: .zero
    ) { $0.command.terminationGrace = .seconds(3_600) }
    try await holder.output(contains: "ready")
    holder.connection.close()
    try await holder.output(contains: "asked")
    let second = try await holder.reconnect()
    #expect(
      try await second.ask(.terminate) { $0.append(.grace, Duration.zero) }.kind == .done)
    #expect(try await holder.exit() == 0)
    #expect(directory.names == ["s.json", "s.ring"])
  }

  @Test("An orphan whose socket is removed ends its command, and removes its files")
  func socketRemoved() async throws {
    let directory = try StateDirectory()
    try directory.makeRecord()
    let holder = try await Holder.launch("sleep 1000", in: directory)
    holder.connection.close()
    try FileManager.default.removeItem(atPath: holder.files.socket)
    #expect(try await holder.exit() == 0)
    #expect(!isRunning(holder.command))
    #expect(directory.names == [])
  }

  @Test("An orphan whose socket is replaced leaves the other's files")
  func socketReplaced() async throws {
    let directory = try StateDirectory()
    try directory.makeRecord()
    let holder = try await Holder.launch("sleep 1000", in: directory)
    holder.connection.close()
    // Another name first, so that the other file has another number for sure.
    let other = directory.path + "/other"
    try Data("other".utf8).write(to: URL(fileURLWithPath: other))
    #expect(unsafe rename(other, holder.files.socket) == 0)
    #expect(try await holder.exit() == 0)
    #expect(!isRunning(holder.command))
    #expect(directory.names == ["s.json", "s.sock"])
  }

  @Test("An orphan whose ring is replaced leaves the other's files")
  func ringReplaced() async throws {
    let directory = try StateDirectory()
    try directory.makeRecord()
    let holder = try await Holder.launch(
      "sleep 1000", in: directory, orphanTimeout: .milliseconds(10))
    let other = directory.path + "/other"
    try Data("other".utf8).write(to: URL(fileURLWithPath: other))
    #expect(unsafe rename(other, holder.files.ring) == 0)
    holder.connection.close()
    #expect(try await holder.exit() == 0)
    #expect(!isRunning(holder.command))
    #expect(directory.names == ["s.json", "s.ring"])
  }

  @Test("An orphan whose directory is removed ends its command")
  func directoryRemoved() async throws {
    let holder = try await Holder.launch("sleep 1000")
    holder.connection.close()
    try FileManager.default.removeItem(atPath: holder.directory.path)
    #expect(try await holder.exit() == 0)
    #expect(!isRunning(holder.command))
  }

  @Test("A holder with a daemon does not need its socket")
  func socketRemovedWithDaemon() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    try FileManager.default.removeItem(atPath: holder.files.socket)
    for _ in 0..<30 {
      #expect(try await holder.connection.ask(.hello).kind == .welcome)
      try await Task.sleep(for: .milliseconds(50))
    }
    _ = try await holder.connection.post(.write) { $0.append(.end, 1) }
    #expect(try await holder.exit() == 0)
    #expect(holder.directory.names == ["s.ring"])
  }

  // MARK: Signals

  @Test(
    "A holder that is asked to end ends its command with its grace, and leaves the files",
    arguments: [SIGTERM, SIGINT], [true, false])
  func shutdown(signal: Int32, hasDaemon: Bool) async throws {
    let directory = try StateDirectory()
    try directory.makeRecord()
    let holder = try await Holder.launch(
      "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 1; done", in: directory)
    try await holder.output(contains: "ready")
    if !hasDaemon { holder.connection.close() }
    kill(holder.process, signal)
    #expect(try await holder.exit() == 0)
    // The shell may say on stderr that a signal has ended its sleep.
    #expect(try await holder.output().contains("bye\n"))
    #expect(try holder.recording().exitCode == 3)
    #expect(try holder.recording().state == .ended)
    #expect(directory.names == ["s.json", "s.ring"])
  }

  #if os(Linux)
    @Test("A holder that is killed takes its command with it, and its ring is abandoned")
    func killed() async throws {
      let holder = try await Holder.launch("echo ready; exec sleep 1000")
      try await holder.output(contains: "ready")
      kill(holder.process, SIGKILL)
      #expect(try await holder.exit() == 128 + SIGKILL)
      try await eventually { !isRunning(holder.command) }
      let recording = try holder.recording()
      #expect(recording.state == .abandoned)
      #expect(recording.output().chunks.flatMap { Array($0.data) } == Array("ready\n".utf8))
    }
  #endif
}
