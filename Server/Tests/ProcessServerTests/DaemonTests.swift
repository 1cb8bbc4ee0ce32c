import Foundation
import ProcessHost
import Processes
import Testing

@testable import ProcessServer

/// The daemon itself, as a process.
@Suite(.timeLimit(.minutes(10))) struct DaemonTests {
  private static let executable = builtExecutable("processd")

  private func launch(_ arguments: String...) async throws -> HostedProcess {
    let session = Session(id: randomID(), workspaceID: "test")
    return try await CommandHost.shared.launch(
      Command(Self.executable, arguments: arguments), into: session)
  }

  /// A daemon that listens, its port, and what it printed until then.
  private func listening(
    _ arguments: String..., on host: CommandHost = .shared
  ) async throws -> (HostedProcess, Int, String) {
    let process = try await host.launch(
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
    for _ in 0..<20 {
      do {
        return try await Wire.connect(port: port) { wire in
          try await wire.request(
            method, path, token: token, headers: ["Connection: close"], body: body)
          return try await wire.response()
        }
      } catch is Wire.Truncated {
        // The daemon cuts off a connection on which no token has come for ten seconds. On a machine
        // that is as busy as that, nothing has been asked for yet.
      }
    }
    throw Wire.Truncated()
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

  @Test("processctl and processd tell their version", arguments: ["processctl", "processd"])
  func version(name: String) async throws {
    let result = try await CommandHost.shared.run(Command(builtExecutable(name), "--version"))
    #expect(result.output.chunks.payload.description.hasSuffix("\(APIServer.version)\n"))
    #expect(result.exit == .exited(0))
  }

  /// Without a file, the token that it shows is the one that it takes; and SIGTERM ends all.
  @Test(
    "Without a token file the daemon accepts the token it prints, and SIGTERM ends its children")
  func aTokenOfItsOwn() async throws {
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
  @Test(
    "SIGINT and SIGHUP end a daemon without a token file",
    arguments: [ProcessSignal.interrupt, .hangUp])
  func otherSignalsEndItToo(signal: ProcessSignal) async throws {
    let (daemon, _, _) = try await listening()
    try daemon.signal(signal)
    #expect(try await daemon.waitUntilClosed() == .exited(0))
  }

  /// SIGTERM while someone waits: the answer comes, then the end.
  @Test("SIGTERM ends the daemon after the waiting clients have their answers")
  func repliesAreFinished() async throws {
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

  @Test("SIGHUP reads the token file again, and an invalid file changes nothing")
  func reloading() async throws {
    try await withTokens("# ours\n\nold w1\nother\tw2\n") { path in
      let (daemon, port, _) = try await listening("--tokens", path)
      func status(_ token: String) async throws -> Int {
        try await request(port, "GET", "/api/sdk/processes", token: token).status
      }
      #expect(try await status("old") == 200)
      #expect(try await status("new") == 401)
      try write("new w1\nother w2\n", to: path)
      try daemon.signal(.hangUp)
      while !daemon.session.output().chunks.payload.description.contains("tokens read anew") {
        try await Task.sleep(for: .milliseconds(5))
      }
      #expect(try await status("new") == 200)
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

  @Test("The access log gets a line for each request, and SIGHUP opens it anew")
  func accessLog() async throws {
    let path = NSTemporaryDirectory() + "processd-access-\(randomID())"
    func lines(_ path: String) throws -> [Substring] {
      try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    }
    try await withTokens("t w\n") { tokens in
      let (daemon, port, _) = try await listening("--tokens", tokens, "--access-log", path)
      for name in ["healthz", "secret"] {
        _ = try await request(port, "GET", "/\(name)", token: nil)
      }
      while try lines(path).count < 2 { try await Task.sleep(for: .milliseconds(5)) }
      try FileManager.default.moveItem(atPath: path, toPath: path + ".old")
      try daemon.signal(.hangUp)
      while !daemon.session.output().chunks.payload.description.contains("access log opened anew") {
        try await Task.sleep(for: .milliseconds(5))
      }
      _ = try await request(port, "GET", "/api/sdk/processes", token: "t")
      try daemon.signal(.terminate)
      #expect(try await daemon.waitUntilClosed() == .exited(0))
      let old = try lines(path + ".old")
      #expect(old.count == 2)
      #expect(old[0].contains(#""method":"GET","route":"/healthz","status":200,"seconds":0."#))
      #expect(old[1].contains(#""workspace":null,"method":"GET","route":null,"status":404"#))
      let new = try lines(path)
      #expect(new.count == 1)
      #expect(new[0].contains(#""workspace":"w","method":"GET","route":"/api/sdk/processes""#))
      let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
      #expect(mode.map { $0 & 0o026 } == 0)
    }
    try FileManager.default.removeItem(atPath: path)
    try FileManager.default.removeItem(atPath: path + ".old")
  }

  @Test("An access log that nobody takes delays neither the daemon nor SIGHUP, and is counted")
  func accessLogWithoutAReader() async throws {
    let path = NSTemporaryDirectory() + "processd-access-\(randomID())"
    #expect(unsafe mkfifo(path, 0o600) == 0)
    defer { try? FileManager.default.removeItem(atPath: path) }
    let refused = try await launch("--port", "0", "--access-log", path)
    #expect(try await refused.waitUntilClosed() == .exited(64))
    #expect(refused.session.output().chunks.payload.description.contains("--access-log \(path): "))
    try await withTokens("t w\n") { tokens in
      let (daemon, port, _) = try await listening("--tokens", tokens, "--access-log", path + ".log")
      try FileManager.default.removeItem(atPath: path + ".log")
      try FileManager.default.moveItem(atPath: path, toPath: path + ".log")
      try daemon.signal(.hangUp)
      while !daemon.session.output().chunks.payload.description.contains("stays as it was") {
        try await Task.sleep(for: .milliseconds(5))
      }
      #expect(try await request(port, "GET", "/healthz", token: nil).status == 200)
      try daemon.signal(.terminate)
      #expect(try await daemon.waitUntilClosed() == .exited(0))
      try FileManager.default.removeItem(atPath: path + ".log")
      #if os(Linux)
        let (full, fullPort, _) = try await listening(
          "--tokens", tokens, "--access-log", "/dev/full")
        let none = "processd_log_lines_dropped_total 0\n"
        while try await request(fullPort, "GET", "/metrics", token: nil).text.contains(none) {}
        try full.signal(.terminate)
        #expect(try await full.waitUntilClosed() == .exited(0))
      #endif
    }
  }

  /// In a control group of its own, as a unit of systemd with `Delegate=yes`, the daemon makes room
  /// for limits; where that is impossible, it says why, and refuses them.
  @Test("The daemon applies limits in its own control group, or refuses them and logs the reason")
  func controlGroups() async throws {
    try await withTokens("t w\n") { path in
      let (daemon, port, _) = try await listening(
        "--tokens", path, "--cgroups", on: CommandHost(cgroups: .ifAvailable))
      let reply = try await request(
        port, "POST", "/api/sdk/envs/local/tool/call", token: "t",
        body: #"{"tool":"shell","arguments":{"command":"cat /proc/self/cgroup","max_processes":9}}"#
      )
      let plain = try await request(
        port, "POST", "/api/sdk/envs/local/tool/call", token: "t",
        body: #"{"tool":"shell","arguments":{"command":"echo ok"}}"#)
      #expect(plain.text.contains(#""stdout":"ok\n""#))
      try daemon.signal(.terminate)
      #expect(try await daemon.waitUntilClosed() == .exited(0))
      let log = daemon.session.output().chunks.payload.description
      if log.contains("max_memory_bytes and max_processes are refused") {
        #expect(reply.status == 400)
        #expect(reply.code == "limits_unavailable")
      } else {
        // Beside the daemon, which has moved below.
        #expect(reply.status == 200)
        #expect(reply.text.contains("swift-processes-"))
        #expect(!reply.text.contains("swift-processes-program"))
        #expect(plain.text.contains(#""oom_killed":false"#))
      }
    }
  }

  /// The daemon's way with signals is not its children's.
  @Test("The daemon's commands start with every signal at its default")
  func childrenHaveDefaultSignals() async throws {
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

  @Test("The daemon refuses invalid options and unsafe token files with an explanation")
  func whatIsRefused() async throws {
    let cases: [([String], String)] = [
      (["--host", "0.0.0.0"], "--tokens FILE must say who may do what"),
      (["--host", "::"], "--tokens FILE must say who may do what"),
      (["--host", "example.com"], "--tokens FILE must say who may do what"),
      (["--port", "70000"], "must be from 0 to 65535"),
      (["--idle-timeout", "soon"], "soon"), (["--idle-timeout", "0s"], "0s"),
      (["--sessions-per-workspace", "0"], "must be positive"),
      (["--max-connections", "0"], "must be positive"),
      (["--env-name", "a/b"], "without a slash"),
      (["--unix", ""], "must have from 1 to 100 bytes"),
      (["--run-as", "no-such-user"], "--run-as no-such-user: "), (["--on-revoke", "x"], "x"),
      (["--connections-per-workspace", "0"], "must be positive"),
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

  @Test("The daemon exits with 1 when its port is in use")
  func aPortThatIsTaken() async throws {
    let (daemon, port, _) = try await listening()
    let second = try await launch("--port", "\(port)")
    #expect(try await second.waitUntilClosed() == .exited(1))
    #expect(
      second.session.output().chunks.payload.description.contains(
        "port \(port): Address already in use"))
    try daemon.signal(.terminate)
    #expect(try await daemon.waitUntilClosed() == .exited(0))
  }

  private func until(_ isSo: () async throws -> Bool) async throws {
    while try await !isSo() { try await Task.sleep(for: .milliseconds(5)) }
  }

  private func call(_ command: String) -> String {
    #"{"tool":"shell","arguments":{"command":"\#(command)"}}"#
  }

  @Test("The daemon serves on a private Unix socket, and never replaces one in use")
  func unixSocket() async throws {
    let path = NSTemporaryDirectory() + "processd-\(randomID()).sock"
    try await withTokens("t w\n") { tokens in
      let daemon = try await launch("--unix", path, "--tokens", tokens)
      try await until {
        daemon.session.output().chunks.payload.description.contains("listening on \(path)\n")
      }
      let status = try FileManager.default.attributesOfItem(atPath: path)
      #expect(status[.posixPermissions] as? Int == 0o600)
      let text = try await Wire.connect(unix: path) { wire in
        try await wire.request("GET", "/metrics")
        #expect(try await wire.response().status == 200)
        // Files are made as ever.
        try await wire.request(
          "POST", "/api/sdk/envs/local/tool/call", token: "t", body: call("umask"))
        return try await wire.response().text
      }
      #expect(text.contains(#""output":"0022\n""#))
      // A live one is not taken over, nor is another file.
      let second = try await launch("--unix", path, "--tokens", tokens)
      #expect(try await second.waitUntilClosed() == .exited(1))
      #expect(
        second.session.output().chunks.payload.description.contains("another server listens there"))
      let third = try await launch("--unix", tokens, "--tokens", tokens)
      #expect(try await third.waitUntilClosed() == .exited(1))
      #expect(third.session.output().chunks.payload.description.contains("is no socket"))
      #expect(FileManager.default.fileExists(atPath: tokens))
      try daemon.signal(.kill)
      _ = try await daemon.waitUntilClosed()
      // One that nobody listens on any more is.
      #expect(FileManager.default.fileExists(atPath: path))
      let (beside, port, _) = try await listening("--unix", path, "--tokens", tokens)
      #expect(try await request(port, "GET", "/healthz", token: nil).status == 200)
      try await Wire.connect(unix: path) { wire in
        try await wire.request("GET", "/api/sdk/processes", token: "t")
        #expect(try await wire.response().status == 200)
      }
      try beside.signal(.terminate)
      #expect(try await beside.waitUntilClosed() == .exited(0))
      #expect(!FileManager.default.fileExists(atPath: path))
    }
  }

  @Test("The daemon's memory is closed to other users, and its arguments contain no token")
  func memory() async throws {
    let (daemon, _, text) = try await listening()
    let token = String(try #require(text.firstMatch(of: #/token ([0-9a-f]{32})/#)).1)
    let status = try String(
      contentsOfFile: "/proc/\(daemon.processID)/status", encoding: .utf8)
    #expect(!status.isEmpty)
    // Root may look; for others the files are root's.
    let owner =
      try FileManager.default.attributesOfItem(
        atPath: "/proc/\(daemon.processID)/environ")[.ownerAccountID] as? Int
    #expect(owner == 0)
    let limit = try Data(contentsOf: URL(fileURLWithPath: "/proc/\(daemon.processID)/cmdline"))
    #expect(!String(decoding: limit, as: UTF8.self).contains(token))
    try daemon.signal(.terminate)
    #expect(try await daemon.waitUntilClosed() == .exited(0))
  }

  @Test("SIGKILL to the daemon ends its processes", .enabled(if: Self.isLinux))
  func killed() async throws {
    try await withTokens("t w\n") { path in
      let (daemon, port, _) = try await listening("--tokens", path)
      let reply = try await request(
        port, "POST", "/api/sdk/envs/local/tool/call", token: "t",
        body: #"{"tool":"exec_command","arguments":{"command":["sleep","1000"]}}"#)
      #expect(reply.status == 200)
      let list = try await request(port, "GET", "/api/sdk/processes", token: "t").text
      let child = try #require(Int32(list.firstMatch(of: #/"pid":(\d+)/#)?.1 ?? ""))
      #expect(kill(child, 0) == 0)
      try daemon.signal(.kill)
      _ = try await daemon.waitForExit()
      // Gone, or a zombie that nobody has reaped yet.
      try await until {
        let status = try? String(contentsOfFile: "/proc/\(child)/stat", encoding: .utf8)
        return status?.contains(") Z ") ?? true
      }
    }
  }

  private static let isLinux: Bool = {
    #if os(Linux)
      true
    #else
      false
    #endif
  }()

  @Test(
    "A reader that does not read the log delays nothing, and the daemon counts the dropped lines")
  func fullLog() async throws {
    try await withTokens("t w\n") { path in
      // The daemon's stderr is a pipe that is read when the file is there.
      let go = NSTemporaryDirectory() + "processd-log-\(randomID())"
      defer { try? FileManager.default.removeItem(atPath: go) }
      let daemon = try await CommandHost.shared.launch(
        Command(
          "sh", "-c",
          "exec 3>&1; { \"$0\" --port 0 --tokens \"$1\" 2>&1 >&3 3>&-; echo ended; } | "
            + "{ while [ ! -e \"$2\" ]; do sleep 0.05; done; tail -c 5000; }",
          Self.executable, path, go),
        into: Session(id: randomID(), workspaceID: "test"))
      var port = 0
      try await until {
        let text = daemon.session.output().chunks.payload.description
        port = text.firstMatch(of: #/listening on http://[^:]*:(\d+)\n/#).flatMap { Int($0.1) } ?? 0
        return port > 0
      }
      // Each start and exit is a line of some hundred bytes, and a pipe holds 64 KiB.
      var dropped = 0
      try await Wire.connect(port: port) { wire in
        while dropped == 0 {
          for _ in 0..<50 {
            try await wire.request(
              "POST", "/api/sdk/envs/local/tool/call", token: "t", body: call("true"))
            #expect(try await wire.response().status == 200)
          }
          try await wire.request("GET", "/metrics")
          let page = try await wire.response().text
          dropped =
            page.firstMatch(of: #/\nprocessd_log_lines_dropped_total (\d+)/#).flatMap { Int($0.1) }
            ?? 0
        }
        #expect(FileManager.default.createFile(atPath: go, contents: nil))
        // A new line comes with their number.
        try await wire.request(
          "POST", "/api/sdk/envs/local/tool/call", token: "t", body: call("true"))
        #expect(try await wire.response().status == 200)
        try await wire.request("GET", "/healthz")
        #expect(try await wire.response().status == 200)
      }
      try daemon.signal(.terminate)
      _ = try await daemon.waitUntilClosed()
    }
  }

  @Test(
    "The daemon runs commands as the user of --run-as",
    .enabled(if: geteuid() == 0, "takes root"))
  func anotherUser() async throws {
    try await withTokens("t w\n") { path in
      let (daemon, port, _) = try await listening("--tokens", path, "--run-as", "nobody")
      func shell(_ command: String) async throws -> String {
        try await request(
          port, "POST", "/api/sdk/envs/local/tool/call", token: "t",
          body: #"{"tool":"shell","arguments":{"cwd":"/","command":"\#(command)"}}"#
        ).text
      }
      #expect(try await shell("id -un; echo $USER").contains(#""stdout":"nobody\nnobody\n""#))
      #expect(try await shell("cat \(path)").contains("Permission denied"))
      #expect(try await shell("cat /proc/$PPID/environ").contains("Permission denied"))
      #expect(try await shell("kill -9 $PPID; echo $?").contains(#""stdout":"1\n""#))
      try daemon.signal(.terminate)
      #expect(try await daemon.waitUntilClosed() == .exited(0))
    }
  }
}
