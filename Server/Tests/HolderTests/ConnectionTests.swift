import Foundation
import HolderProtocol
import ProcessHost
import Processes
import Testing

@Suite("Connections to a holder", .timeLimit(.minutes(10)))
struct ConnectionTests {
  private func watch(
    _ cursor: Cursor, on connection: DaemonConnection
  ) async throws -> UInt32 {
    try await connection.post(.watch) { $0.append(.cursor, cursor.description) }
  }

  private func write(_ text: String, on connection: DaemonConnection) async throws {
    let answer = try await connection.ask(.write) {
      $0.append(.data, text)
      $0.append(.patience, Duration.seconds(3_600))
    }
    #expect(StdinQueue.Answer(answer) == .written)
  }

  // MARK: Requests

  @Test("A watch is answered as soon as there is news past its cursor")
  func news() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    let connection = holder.connection
    let recording = try holder.recording()
    let first = try await watch(recording.output().cursor, on: connection)
    #expect(try await connection.ask(.hello).kind == .welcome)
    #expect(connection.hasNothing)
    try await write("a", on: connection)
    #expect(try await connection.answer(to: first).kind == .news)
    let cursor = recording.output().cursor
    #expect(cursor.seq == 1)
    let later = try await watch(cursor, on: connection)
    let old = try await watch(.start, on: connection)
    #expect(try await connection.answer(to: old).kind == .news)
    #expect(connection.hasNothing)
    // The end is news, too.
    _ = try await connection.ask(.write) { $0.append(.end, 1) }
    #expect(try await connection.answer(to: later).kind == .news)
    #expect(try await holder.exit() == 0)
  }

  @Test("A cursor that is none is one at the start")
  func badCursor() async throws {
    let holder = try await Holder.launch("echo x; sleep 1000")
    try await holder.output(contains: "x")
    for text in ["", "x", "1.2.3.4.5", "-9223372036854775808.-9223372036854775808"] {
      let answer = try await holder.connection.ask(.watch) { $0.append(.cursor, text) }
      #expect(answer.kind == .news)
      _ = try await holder.connection.post(.acknowledge) { $0.append(.cursor, text) }
    }
    #expect(try await holder.connection.ask(.watch).kind == .news)
    #expect(try await holder.connection.ask(.hello).kind == .welcome)
  }

  @Test(
    "A kind that a holder does not take is unknown to it",
    arguments: [
      HolderMessage.Kind.launch, .welcome, .started, .failed, .written, .done, .refused, .news,
      .unknown,
    ])
  func unknown(kind: HolderMessage.Kind) async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    #expect(try await holder.connection.ask(kind).kind == .unknown)
    #expect(try await holder.connection.ask(.hello).kind == .welcome)
  }

  @Test("A kind of a later version is unknown, and its number is in the answer")
  func laterKind() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    try await holder.connection.send([0, 0, 0, 5, 200, 0, 0, 1, 2])
    let answer = try await holder.connection.receive()
    #expect(answer?.kind == .unknown)
    #expect(answer?.number == 0x102)
  }

  // MARK: Daemons

  @Test("All goes on with another daemon after the first has gone")
  func reconnect() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    try await write("one ", on: holder.connection)
    _ = try await watch(Cursor(seq: 1_000), on: holder.connection)
    holder.connection.close()
    let second = try await holder.reconnect()
    try await write("two ", on: second)
    second.close()
    let third = try await holder.reconnect()
    let welcome = try await third.ask(.hello)
    #expect(welcome.number(.version) == HolderMessage.version)
    #expect(welcome.number(.pid) == Int(holder.command))
    try await write("three", on: third)
    _ = try await third.ask(.write) { $0.append(.end, 1) }
    #expect(try await holder.output() == "one two three")
    #expect(try await holder.exit() == 0)
    #expect(holder.directory.names == ["s.ring"])
  }

  @Test("A daemon that says hello takes the place of the one before")
  func replace() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    let second = try await holder.reconnect()
    try await holder.connection.waitForEnd()
    try await write("x", on: second)
    try await holder.output(contains: "x")
  }

  @Test("A connection without a hello takes no daemon's place")
  func silent() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    let silent = try DaemonConnection(to: holder.files.socket)
    let half = try DaemonConnection(to: holder.files.socket)
    try await half.send(Array(HolderMessage(.hello).encoded.dropLast()))
    #expect(try await holder.connection.ask(.hello).kind == .welcome)
    // In time both are closed.
    try await silent.waitForEnd()
    try await half.waitForEnd()
    #expect(try await holder.connection.ask(.hello).kind == .welcome)
  }

  @Test("A hello that comes byte by byte is one")
  func bytewise() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    let connection = try DaemonConnection(to: holder.files.socket)
    for byte in HolderMessage(.hello, number: 5).encoded {
      // The first daemon keeps its place until the hello is complete.
      #expect(try await holder.connection.ask(.hello).kind == .welcome)
      try await connection.send([byte])
    }
    #expect(try await connection.answer(to: 5).kind == .welcome)
    try await holder.connection.waitForEnd()
  }

  @Test("Requests right behind a hello are served")
  func pipelined() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    let connection = try DaemonConnection(to: holder.files.socket)
    var write = HolderMessage(.write, number: 2)
    write.append(.data, [UInt8](repeating: 0x61, count: 100_000))
    write.append(.end, 1)
    try await connection.send(HolderMessage(.hello, number: 1).encoded + write.encoded)
    #expect(try await connection.answer(to: 1).kind == .welcome)
    #expect(try await connection.answer(to: 2).kind == .written)
    #expect(try await holder.output().utf8.count == 100_000)
    #expect(try await holder.exit() == 0)
  }

  @Test("Requests right behind a launch order are served")
  func pipelinedLaunch() async throws {
    let holder = try Holder(in: try StateDirectory())
    holder.directory.makeNeededRecord("s")
    var command = Command("cat")
    command.input = .pipe
    let order = LaunchOrder(
      files: holder.files, workspace: "", orphanTimeout: .seconds(3_600), command: command,
      environment: [:])
    var write = HolderMessage(.write, number: 2)
    write.append(.data, "x")
    write.append(.end, 1)
    try await holder.connection.send(order.message.encoded + write.encoded)
    #expect(try await holder.connection.receive()?.kind == .started)
    #expect(try await holder.connection.answer(to: 2).kind == .written)
    #expect(try await holder.output() == "x")
    #expect(try await holder.exit() == 0)
  }

  // MARK: Malformed

  @Test(
    "A newcomer that sends something else than a hello is closed, and harms nothing",
    arguments: [
      [UInt8](repeating: 0xff, count: 64), [0, 0, 0, 0], Array("GET / HTTP/1.1\r\n\r\n".utf8),
      HolderMessage(.touch).encoded, HolderMessage(.launch).encoded,
      HolderMessage(.touch).encoded + HolderMessage(.hello).encoded, Self.largeHello,
      [0, 0, 0x20, 0, 1], [0, 0, 0, 6, 1, 0, 0, 0, 0, 7],
    ])
  func malformed(bytes: [UInt8]) async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    let newcomer = try DaemonConnection(to: holder.files.socket)
    try await newcomer.send(bytes)
    #expect(try await newcomer.receive() == nil)
    #expect(try await holder.connection.ask(.hello).kind == .welcome)
  }

  /// A hello that would make the holder keep more than it does for a stranger.
  private static let largeHello: [UInt8] = {
    var hello = HolderMessage(.hello)
    hello.append(.data, [UInt8](repeating: 0, count: 5_000))
    return hello.encoded
  }()

  @Test("A daemon that sends no message is closed, and may come again")
  func malformedDaemon() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    try await holder.connection.send([0xff, 0xff, 0xff, 0xff])
    try await holder.connection.waitForEnd()
    let second = try await holder.reconnect()
    try await write("x", on: second)
  }

  @Test("Random messages of a daemon crash nothing")
  func random() async throws {
    let holder = try await Holder.launch("cat", hasInput: true) { $0.losslessTime = .seconds(60) }
    var generator = SplitMix(state: 3)
    let kinds: [UInt8] = [1, 3, 6, 10, 13, 15, 16, 17, 18, 19, 99]
    var connection = holder.connection
    for round in 0..<400 {
      // Neither signals nor an end, which would end the command.
      var body: [UInt8] = [kinds.randomElement(using: &generator)!, 0, 0, 0, 1]
      for _ in 0..<Int.random(in: 0...3, using: &generator) {
        let count = [0, 1, 8, 8, 20].randomElement(using: &generator)!
        body.append(.random(in: 5...14, using: &generator))
        body += [0, 0, 0, UInt8(count)]
        body += (0..<count).map { _ in .random(in: 0...255, using: &generator) }
      }
      if round % 40 == 39 { body.removeLast() }
      let isSent = try await connection.send([0, 0, 0, UInt8(body.count)] + body)
      if !isSent { connection = try await holder.reconnect() }
    }
    connection = try await holder.reconnect()
    try await write("still here", on: connection)
    try await holder.output(contains: "still here")
  }

  // MARK: Bounds

  @Test("A daemon that does not read its answers loses its connection, and may come again")
  func unread() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    let requests = (0..<1_000).flatMap { _ in HolderMessage(.hello).encoded }
    var count = 0
    while try await holder.connection.send(requests) { count += 1_000 }
    // What the holder may keep, and not less.
    #expect(count > (1 << 20) / HolderMessage(.welcome).encoded.count / 8)
    let second = try await holder.reconnect()
    try await write("x", on: second)
    try await holder.output(contains: "x")
  }

  @Test("A daemon with too many requests that wait loses its connection")
  func unanswered() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    let request = HolderMessage(.awaitExit).encoded
    while try await holder.connection.send(request) {}
    #expect(try await holder.reconnect().ask(.hello).kind == .welcome)
  }

  @Test("A flood of connections takes no more descriptors than a few")
  func flood() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    #expect(try await holder.connection.ask(.hello).kind == .welcome)
    let before = holder.descriptors.count
    for _ in 0..<10 {
      let connections = try (0..<100).map { _ in try connectedSocket(holder.files.socket) }
      defer { for number in connections { close(number) } }
      #expect(try await holder.connection.ask(.hello).kind == .welcome)
      #expect(holder.descriptors.count <= before + 20)
    }
    let second = try await holder.reconnect()
    try await write("x", on: second)
    #if os(Linux)
      try await eventually { holder.descriptors.count <= before + 1 }
    #endif
  }

  @Test(
    "A connection of another user is closed without a word",
    .enabled("needs root, setpriv and python3") {
      await strangersPython() != nil
    })
  func stranger() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    // Otherwise the system itself would keep the stranger away.
    for path in [holder.directory.path, holder.files.socket] {
      try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: path)
    }
    let hello = HolderMessage(.hello).encoded.map { String($0) }.joined(separator: ",")
    let script = """
      import socket
      s = socket.socket(socket.AF_UNIX)
      s.connect("\(holder.files.socket)")
      try: s.sendall(bytes([\(hello)]))
      except OSError: pass
      try: print("got", len(s.recv(100)))
      except ConnectionError: print("got 0")
      """
    let python = try #require(await strangersPython())
    #expect(try await text(strangersCommand(python, "-c", script)) == "got 0\n")
    #expect(try await holder.connection.ask(.hello).kind == .welcome)
    let asRoot = try await text(Command(python, "-c", script))
    #expect(asRoot == "got \(holder.answer.encoded.count)\n")
  }

  @Test("Only the user may use the socket and read the ring")
  func modes() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    for path in [holder.files.socket, holder.files.ring] {
      let attributes = try FileManager.default.attributesOfItem(atPath: path)
      #expect(attributes[.posixPermissions] as? Int == 0o600)
    }
  }
}

/// Runs a command, and returns what it writes to stdout.
func text(_ command: Command) async throws -> String {
  let session = Session()
  let process = try await CommandHost.shared.launch(command, into: session)
  try await process.waitUntilClosed()
  let chunks = session.output().chunks.filter { $0.stream == .stdout }
  return String(decoding: chunks.flatMap { Array($0.data) }, as: UTF8.self)
}

/// Returns a command that another user runs; only root may start it.
private func strangersCommand(_ arguments: String...) -> Command {
  let options = ["--reuid=65534", "--regid=65534", "--clear-groups"]
  return Command("setpriv", arguments: options + arguments)
}

/// Returns a Python that another user may run; nil if there is none, or this user is not root.
private func strangersPython() async -> String? {
  guard geteuid() == 0 else { return nil }
  for name in ["python3", "/usr/bin/python3"] {
    let answer = try? await text(strangersCommand(name, "-c", "print(1)"))
    if answer == "1\n" { return name }
  }
  return nil
}
