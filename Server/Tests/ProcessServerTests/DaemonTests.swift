import Foundation
import ProcessHost
import Processes
import Testing

@testable import ProcessServer

/// The daemon itself, as a process.
@Suite(.timeLimit(.minutes(5))) struct DaemonTests {
  /// It is built beside the tests.
  private static let executable: String = {
    let arguments = ProcessInfo.processInfo.arguments
    let places = [arguments[0]] + arguments.filter { $0.contains(".xctest") }
    let candidates = places.map { place in
      URL(fileURLWithPath: place).deletingLastPathComponent().path + "/processd"
    }
    return candidates.first(where: FileManager.default.isExecutableFile) ?? "processd"
  }()

  private func launch(_ arguments: String...) async throws -> HostedProcess {
    let session = Session(id: randomID(), workspaceID: "test")
    return try await CommandHost.shared.launch(
      Command(Self.executable, arguments: arguments), into: session)
  }

  /// A daemon that listens, its port, and what it printed until then.
  private func listening(_ arguments: String...) async throws -> (HostedProcess, Int, String) {
    let process = try await CommandHost.shared.launch(
      Command(Self.executable, arguments: ["--port", "0"] + arguments),
      into: Session(id: randomID(), workspaceID: "test"))
    while true {
      let output = process.session.output()
      let text = output.chunks.filter { $0.stream == .stdout }.map { $0.data.description }.joined()
      if let match = text.firstMatch(of: #/listening on http://[^:]*:(\d+)\n/#),
        arguments.contains("--tokens") || text.contains(#/token [0-9a-f]{32}\n/#)
      {
        return (process, Int(match.1) ?? 0, text)
      }
      try #require(output.isAlive, "\(output.chunks.payload)")
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  private func request(
    _ port: Int, _ method: String, _ path: String, token: String?, body: String? = nil
  ) async throws -> Reply {
    try await Wire.connect(port: port) { wire in
      try await wire.request(
        method, path, token: token, headers: ["Connection: close"], body: body)
      return try await wire.response()
    }
  }

  private func withTokens(
    _ text: String, mode: Int = 0o600, _ body: (String) async throws -> Void
  ) async throws {
    let path = NSTemporaryDirectory() + "processd-tokens-\(randomID())"
    try write(text, to: path, mode: mode)
    defer { try? FileManager.default.removeItem(atPath: path) }
    try await body(path)
  }

  private func write(_ text: String, to path: String, mode: Int = 0o600) throws {
    #expect(
      FileManager.default.createFile(
        atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: mode]))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
  }

  /// Without a file, the token that it shows is the one that it takes; and SIGTERM ends all.
  @Test func aTokenOfItsOwn() async throws {
    let (daemon, port, text) = try await listening()
    let token = try #require(text.firstMatch(of: #/token ([0-9a-f]{32})/#)).1
    #expect(try await request(port, "GET", "/api/sdk/processes", token: "x").status == 401)
    let reply = try await request(
      port, "POST", "/api/sdk/envs/local/tool/call", token: String(token),
      body: #"{"tool":"exec_command","arguments":{"command":"trap '' TERM; sleep 1000 & wait"}}"#)
    #expect(reply.status == 200)
    let list = try await request(port, "GET", "/api/sdk/processes", token: String(token)).text
    let child = try #require(Int32(list.firstMatch(of: #/"pid":(\d+)/#)?.1 ?? ""))
    #expect(kill(child, 0) == 0)
    try daemon.signal(.terminate)
    #expect(try await daemon.waitUntilClosed() == .exited(0))
    // Its children are gone, the stubborn one too.
    #expect(kill(child, 0) != 0)
    let log = daemon.session.output().chunks.filter { $0.stream == .stderr }.map {
      $0.data.description
    }
    #expect(!log.joined().contains(token))
    let shown = daemon.session.output().chunks.payload.description.matches(of: #/[0-9a-f]{32}\n/#)
    #expect(shown.count == 1)
  }

  /// Without a file, there is nothing to read again, and the terminal may be gone.
  @Test(arguments: [ProcessSignal.interrupt, .hangUp])
  func otherSignalsEndItToo(signal: ProcessSignal) async throws {
    let (daemon, _, _) = try await listening()
    try daemon.signal(signal)
    #expect(try await daemon.waitUntilClosed() == .exited(0))
  }

  /// SIGTERM while someone waits: the answer comes, then the end.
  @Test func repliesAreFinished() async throws {
    try await withTokens("t w\n") { path in
      let (daemon, port, _) = try await listening("--tokens", path)
      let call = #"{"tool":"exec_command","arguments":{"command":["sleep","1000"]}}"#
      let started = try await request(
        port, "POST", "/api/sdk/envs/local/tool/call", token: "t", body: call)
      let id = try #require(started.text.firstMatch(of: #/[0-9a-f]{32}/#)).0
      try await Wire.connect(port: port) { wire in
        try await wire.request(
          "GET", "/api/sdk/processes/\(id)/output?wait_ms=60000", token: "t")
        while try await !request(port, "GET", "/metrics", token: nil).text.contains(
          "\nprocessd_waits 1\n")
        { try await Task.sleep(for: .milliseconds(2)) }
        try daemon.signal(.terminate)
        #expect(try await wire.response().decode(OutputReply.self).signal == "SIGTERM")
        #expect(try await wire.isCutOff())
      }
      #expect(try await daemon.waitUntilClosed() == .exited(0))
    }
  }

  @Test func reloading() async throws {
    try await withTokens("# ours\n\nold w1\nother\tw2\n") { path in
      let (daemon, port, _) = try await listening("--tokens", path)
      func status(_ token: String) async throws -> Int {
        try await request(port, "GET", "/api/sdk/processes", token: token).status
      }
      #expect(try await status("old") == 200)
      #expect(try await status("new") == 401)
      try write("new w1\nother w2\n", to: path)
      try daemon.signal(.hangUp)
      while try await status("new") != 200 { try await Task.sleep(for: .milliseconds(5)) }
      #expect(try await status("old") == 401)
      #expect(try await status("other") == 200)
      // A file that is no good leaves things as they are.
      for (text, mode) in [("nonsense\n", 0o600), ("newer w1\n", 0o644), ("", 0o600)] {
        try write(text, to: path, mode: mode)
        let before = daemon.session.output().chunks.payload.description
        try daemon.signal(.hangUp)
        while !daemon.session.output().chunks.payload.description.dropFirst(before.count)
          .contains("tokens stay as they were")
        { try await Task.sleep(for: .milliseconds(5)) }
        #expect(try await status("new") == 200)
      }
      try daemon.signal(.terminate)
      #expect(try await daemon.waitUntilClosed() == .exited(0))
    }
  }

  /// The daemon's way with signals is not its children's.
  @Test func childrenHaveDefaultSignals() async throws {
    try await withTokens("t w\n") { path in
      let (daemon, port, _) = try await listening("--tokens", path)
      let reply = try await request(
        port, "POST", "/api/sdk/envs/local/tool/call", token: "t",
        body: #"{"tool":"shell","arguments":{"command":"trap; kill -HUP $$; echo survived"}}"#)
      #expect(reply.text.contains(#""exit_code":129,"signal":"SIGHUP""#))
      try daemon.signal(.terminate)
      #expect(try await daemon.waitUntilClosed() == .exited(0))
    }
  }

  @Test func whatIsRefused() async throws {
    let cases: [([String], String)] = [
      (["--host", "0.0.0.0"], "--tokens FILE must say who may do what"),
      (["--host", "::"], "--tokens FILE must say who may do what"),
      (["--host", "example.com"], "--tokens FILE must say who may do what"),
      (["--port", "70000"], "must be from 0 to 65535"),
      (["--idle-timeout", "soon"], "soon"), (["--idle-timeout", "0s"], "0s"),
      (["--sessions-per-workspace", "0"], "must be positive"),
      (["--max-connections", "0"], "must be positive"),
      (["--env-name", "a/b"], "without a slash"),
      (["--tokens", "/no/such/file"], "/no/such/file: No such file"),
      (["--tokens", "/"], "/: not a file"),
      (["--tokens", "/dev/null"], "/dev/null: not a file"), (["--nonsense"], "nonsense"),
    ]
    for (arguments, message) in cases {
      let process = try await CommandHost.shared.launch(
        Command(Self.executable, arguments: arguments),
        into: Session(id: randomID(), workspaceID: "test"))
      #expect(try await process.waitUntilClosed() == .exited(64), "\(arguments)")
      let text = process.session.output().chunks.payload.description
      #expect(text.contains(message), "\(arguments): \(text)")
    }
    for mode in [0o644, 0o640, 0o604, 0o666] {
      try await withTokens("t w\n", mode: mode) { path in
        let process = try await launch("--tokens", path)
        #expect(try await process.waitUntilClosed() == .exited(64))
        #expect(process.session.output().chunks.payload.description.contains("chmod 600"))
      }
    }
  }

  @Test func aPortThatIsTaken() async throws {
    let (daemon, port, _) = try await listening()
    let second = try await launch("--port", "\(port)")
    #expect(try await second.waitUntilClosed() == .exited(1))
    #expect(
      second.session.output().chunks.payload.description.contains(
        "port \(port): Address already in use"))
    try daemon.signal(.terminate)
    #expect(try await daemon.waitUntilClosed() == .exited(0))
  }
}
