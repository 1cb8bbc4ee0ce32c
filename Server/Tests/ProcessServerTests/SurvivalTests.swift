import Foundation
import Testing

@testable import ProcessServer

/// Sessions that survive their server. `Server/Tests/survival.py` kills servers.
@Suite(.timeLimit(.minutes(10))) struct SurvivalTests {
  private let state: Holding

  init() throws { state = try Holding() }

  private func run(
    _ configure: (inout APIServer.Configuration) -> Void = { _ in },
    _ body: (TestServer) async throws -> Void
  ) async throws {
    try await TestServer.run(
      {
        $0.holders = state.settings
        $0.holders?.onShutdown = .keep
        configure(&$0)
      }, body)
  }

  /// What the list of sessions says of each, as text.
  private func list(_ server: TestServer) async throws -> [String: String] {
    let body = try await server.get("processes").body
    let list = try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any]
    let processes = list?["processes"] as? [[String: Any]] ?? []
    return Dictionary(
      uniqueKeysWithValues: try processes.map { process in
        let text = try JSONSerialization.data(withJSONObject: process, options: .sortedKeys)
        return (process["session_id"] as? String ?? "", String(decoding: text, as: UTF8.self))
      })
  }

  @Test("A server goes on with the sessions of the one before: ids, cursors, stdin, state and end")
  func goingOn() async throws {
    defer { state.remove() }
    var (id, ended, cursor) = ("", "", "")
    var before: [String: String] = [:]
    try await run { server in
      id = try await server.start(
        "cat; exit 7", #","timestamps":true,"head_bytes":100,"name":"n","keep_alive":true"#)
      ended = try await server.start("echo out; echo err >&2; kill -TERM $$")
      _ = try await server.write("one\n", to: id)
      cursor = try await server.output(id) { $0.text == "one\n" }.cursor
      _ = try await server.output(ended) { $0.closed }
      // Its holder ends a moment later.
      while before[ended]?.contains(#""lingering":false"#) != true {
        before = try await list(server)
      }
    }
    try await run { server in
      let after = try await list(server)
      #expect(Set(after.keys) == [id, ended])
      #expect(after == before)
      #expect(after[ended]?.contains(#""signal":"SIGTERM""#) == true)
      // The same order gives the same session, also by its name.
      let again = try await server.start(
        "cat; exit 7", #","timestamps":true,"head_bytes":100,"name":"n","keep_alive":true"#)
      #expect(again == id)
      #expect(try await server.get("processes/\(id)/output", token: TestServer.bob).status == 403)

      _ = try await server.write("two\n", to: id)
      let (session, query) = (id, "since=\(cursor)&wait_ms=600000")
      async let waiting = server.output(session, query)
      #expect(try await waiting.text == "two\n")
      _ = try await server.write("", to: id, eof: true)
      let end = try await server.output(id) { $0.closed }
      #expect(end.text == "one\ntwo\n")
      #expect(end.exit_code == 7)
      #expect(try await server.write("x", to: id).status == 409)
    }
  }

  @Test("A shutdown that ends commands keeps their output for the next server")
  func ending() async throws {
    defer { state.remove() }
    var id = ""
    try await run({ $0.holders?.onShutdown = .end }) { server in
      id = try await server.start("sleep 1000 & trap 'echo bye; exit 5' TERM; echo ready; wait")
      _ = try await server.output(id) { $0.text == "ready\n" }
    }
    try await run { server in
      let output = try await server.output(id) { $0.closed }
      #expect(output.text == "ready\nbye\n")
      #expect(output.exit_code == 5)
    }
  }

  @Test("A revoked token's processes are ended by the next server, if so configured")
  func revocation() async throws {
    defer { state.remove() }
    let path = state.directory + "/../\(UUID().uuidString)"
    func write(_ text: String) throws {
      try Data(text.utf8).write(to: URL(fileURLWithPath: path))
      unsafe chmod(path, 0o600)
    }
    defer { unsafe unlink(path) }
    var (kept, gone) = ("", "")
    try write("\(TestServer.alice) alice\nanother alice\n")
    try await run({ $0.tokens = .file(path: path) }) { server in
      kept = try await server.start("sleep 1000")
      gone = try await server.start("sleep 1000", token: "another")
    }
    try write("\(TestServer.alice) alice\n")
    try await run({
      $0.tokens = .file(path: path)
      $0.onRevoke = .end
    }) { server in
      #expect(try await list(server).keys.sorted() == [kept])
      while try state.names.contains(where: { $0.hasPrefix(gone) }) {
        try await Task.sleep(for: .milliseconds(5))
      }
    }
  }

  @Test("A session that is deleted, or idle for too long, leaves no file")
  func removal() async throws {
    defer { state.remove() }
    try await run({ $0.idleTimeout = .milliseconds(300) }) { server in
      let id = try await server.start("sleep 1000")
      try await server.request("DELETE", "/api/sdk/processes/\(id)")
      let idle = try await server.start("sleep 1000")
      while try state.names != ["daemon.lock"] { try await Task.sleep(for: .milliseconds(5)) }
      #expect(try await server.get("processes/\(id)/output").status == 404)
      #expect(try await server.get("processes/\(idle)/output").status == 404)
    }
  }

  @Test("A command that cannot be started leaves no file, and the reason is the usual one")
  func failure() async throws {
    defer { state.remove() }
    try await run { server in
      let reply = try await server.post(
        "envs/local/tool/call",
        #"{"tool":"exec_command","arguments":{"command":["no-such-command"]}}"#)
      #expect(reply.text.contains("no-such-command: command not found in PATH"))
      #expect(reply.text.contains(#""code":"executable_not_found""#))
      #expect(try state.names == ["daemon.lock"])
    }
  }

  // MARK: Holders that cannot be used

  @Test("A holder that does not answer holds up no start, and serves when it does")
  func silentHolder() async throws {
    defer { state.remove() }
    var (id, holder) = ("", Int32(0))
    try await run { server in
      id = try await server.start("echo $PPID; cat")
      let output = try await server.output(id) { $0.text.hasSuffix("\n") }
      holder = try #require(Int32(output.text.dropLast()))
    }
    kill(holder, SIGSTOP)
    defer { kill(holder, SIGCONT) }
    try await run { server in
      // Its output is read without it.
      #expect(try await server.output(id, "since=0").text == "\(holder)\n")
      let refusal = try await server.write("lost\n", to: id)
      #expect(refusal.status == 503)
      #expect(refusal.text.contains("holder_silent"))
      kill(holder, SIGCONT)
      while try await server.write("taken\n", to: id).status != 200 {}
      let output = try await server.output(id) { $0.text.hasSuffix("taken\n") }
      #expect(output.text == "\(holder)\ntaken\n")
    }
  }

  @Test("A clock that is set, or a machine that was suspended, makes no session idle")
  func clockSteps() async throws {
    defer { state.remove() }
    try await run { server in
      let id = try await server.start("sleep 1000")
      let host = try #require(server.server.holders)
      #expect(host.sweep(at: .sinceEpoch + .seconds(86_400)).isEmpty)
      #expect(try await server.output(id, "since=0").session_alive)
    }
  }

  @Test("A session whose holder's socket is another session's controls neither, and ends")
  func swappedSockets() async throws {
    defer { state.remove() }
    var sockets: [String] = []
    var ids: [String] = []
    try await run { server in
      ids = [try await server.start("cat"), try await server.start("cat")]
      sockets = ids.map { "\(state.directory)/\($0).sock" }
    }
    let exchange = state.directory + "/exchange"
    for (from, to) in [(sockets[0], exchange), (sockets[1], sockets[0]), (exchange, sockets[1])] {
      #expect(unsafe rename(from, to) == 0)
    }
    try await run { server in
      for id in ids {
        #expect(try await server.write("x\n", to: id).status >= 400)
        let output = try await server.output(id) { $0.closed }
        #expect(output.text == "")
        #expect(output.exit_code != 0)
      }
    }
  }

  @Test("A session that cannot be adopted keeps its files, however old they are")
  func unreadable() async throws {
    defer { state.remove() }
    var id = ""
    try await run { server in id = try await server.start("sleep 1000") }
    let names = try state.names.filter { $0.hasPrefix(id) }
    #expect(names.count == 3)
    try Data("{".utf8).write(to: URL(fileURLWithPath: "\(state.directory)/\(id).json"))
    for name in names {
      try FileManager.default.setAttributes(
        [.modificationDate: Date(timeIntervalSinceNow: -10_000_000)],
        ofItemAtPath: "\(state.directory)/\(name)")
    }
    try await run { server in
      #expect(try await list(server).isEmpty)
      #expect(try await server.get("processes/\(id)/output").status == 404)
      let left = try state.names.filter { $0.hasPrefix(id) }
      #expect(left == names)
    }
  }

  @Test("A ring that is cut short ends nothing: it can be listed, counted and deleted")
  func truncated() async throws {
    defer { state.remove() }
    try await run { server in
      for size in [0, 1_000, 4_096, 70_000] {
        let id = try await server.start("while :; do echo x; sleep 0.1; done")
        _ = try await server.output(id) { !$0.text.isEmpty }
        #expect(unsafe truncate("\(state.directory)/\(id).ring", off_t(size)) == 0)
        let reply = try await server.get("processes/\(id)/output")
        #expect(reply.status == 503)
        #expect(reply.code == "session_damaged")
        // As long as before, with zeros.
        #expect(unsafe truncate("\(state.directory)/\(id).ring", 4 << 20) == 0)
        #expect(try await server.get("processes/\(id)/output").code == "session_damaged")
        for _ in 0..<3 {
          #expect(try await list(server).keys.contains(id))
          #expect(try await server.request("GET", "/metrics").status == 200)
        }
        #expect(try await server.request("DELETE", "/api/sdk/processes/\(id)").status == 200)
      }
    }
  }

  @Test("A holder whose socket refuses connections for a moment is not taken for gone")
  func busyHolders() {
    for code in [EAGAIN, EACCES, EMFILE, EINTR] {
      #expect(!SystemError(code: code).meansNothingListens)
    }
    for code in [ENOENT, ECONNREFUSED] { #expect(SystemError(code: code).meansNothingListens) }
  }

  // MARK: The directory

  @Test("A directory that others may use, or another server uses, is refused with the reason")
  func claims() throws {
    defer { state.remove() }
    let first = try StateDirectory(claiming: state.directory)
    #expect(throws: StateDirectoryError.self) { try StateDirectory(claiming: state.directory) }
    first.release()
    _ = try StateDirectory(claiming: state.directory + "/")
    unsafe chmod(state.directory, 0o750)
    let error = #expect(throws: StateDirectoryError.self) {
      try StateDirectory(claiming: state.directory)
    }
    #expect(error?.description.contains("chmod 700") == true)
    unsafe chmod(state.directory, 0o700)
    let long = state.directory + "/" + String(repeating: "x", count: 60)
    #expect(throws: StateDirectoryError.self) { try StateDirectory(claiming: long) }
    #expect(throws: StateDirectoryError.self) {
      try StateDirectory(claiming: state.directory + "/no/such")
    }
  }

  @Test("A record has all of an order that a later server needs")
  func records() throws {
    var order = Order(line: .words(["a", "\u{e9}\0\"\\"]), command: .shell(""))
    order.command.input = .pipe
    order.command.terminal = .init(rows: 1, columns: 2)
    (order.headBytes, order.timestamps, order.size) = (5, true, 77)
    (order.grace, order.losslessTime) = (.milliseconds(1500), .milliseconds(7))
    (order.isKeptAlive, order.name, order.idempotencyKey) = (true, "n\n", "k\u{301}")
    order.fingerprint = SHA256Digest(of: "x".utf8)
    let grant = Grant(workspace: "w", token: SHA256Digest(of: "t".utf8))
    let record = SessionRecord(order, by: grant, startedAt: Date(timeIntervalSince1970: 1.5))
    let text = record.json.text
    let read = try SessionRecord(parsing: Array(text.utf8))
    #expect(read.json.text == text)
    #expect(read.order.command.terminal != nil)
    #expect(read.order.command.input == .pipe)
    for count in 0..<text.utf8.count {
      #expect(throws: APIError.self) { try SessionRecord(parsing: Array(text.utf8.prefix(count))) }
    }
  }
}
