import Foundation
import Logging
import ProcessHost
import Processes
import ServiceLifecycle
import Testing

@testable import ProcessServer

/// `processd --stdio`, as an agent starts it.
@Suite(.timeLimit(.minutes(10))) struct StdioTests {
  /// An agent's end of the daemon.
  private struct Agent {
    let daemon: HostedProcess
    let input: ProcessInput

    init(_ options: String...) async throws {
      var command = Command(builtExecutable("processd"), arguments: ["--stdio"] + options)
      command.input = .pipe
      daemon = try await CommandHost.shared.launch(
        command, into: Session(id: randomID(), workspaceID: "test"))
      input = try #require(daemon.input)
    }

    func send(_ lines: String...) async throws {
      try await input.write(Array(lines.map { $0 + "\n" }.joined().utf8))
    }

    /// All answers so far.
    var answers: [MCPReply] {
      get throws {
        let stdout = daemon.session.output().payload(of: .stdout)
        return try stdout.split(separator: UInt8(ascii: "\n"))
          .map { try JSONDecoder().decode(MCPReply.self, from: Data($0)) }
      }
    }

    /// The answer to a request, as soon as it is there.
    func answer(_ id: Int?) async throws -> MCPReply {
      while true {
        if let answer = try answers.first(where: { $0.id == id.map { .number($0) } }) {
          return answer
        }
        try #require(daemon.session.output().isAlive, "\(daemon.session.output().chunks.payload)")
        try await Task.sleep(for: .milliseconds(2))
      }
    }

    func call(_ id: Int, _ tool: String, _ arguments: String) async throws -> MCPReply {
      try await send(toolCall(tool, arguments, id: "\(id)"))
      return try await answer(id)
    }

    /// Closes stdin, and returns how the daemon ended.
    func end() async throws -> ProcessExit {
      input.close()
      return try await daemon.waitUntilClosed()
    }
  }

  @Test("An agent starts commands, reads them and ends, and its commands end with it")
  func session() async throws {
    let agent = try await Agent()
    try await agent.send(
      handshake("2025-06-18", id: "0"), message("notifications/initialized", id: nil), "",
      message("tools/list", id: "1"))
    #expect(try await agent.answer(0).result?.protocolVersion == "2025-06-18")
    #expect(try await agent.answer(1).result?.tools?.count == 7)
    let run = try await agent.call(2, "exec_command", #""command":"echo hello","wait_ms":60000"#)
    #expect(run.structured.text == "hello\n")
    let cat = try await agent.call(
      3, "exec_command", #""command":"trap '' TERM; echo $$; cat; sleep 1000","wait_ms":0"#)
    let id = try #require(cat.structured.session_id)
    let said = try await agent.call(
      4, "wait_for", #""session_id":"\#(id)","text":"\n","wait_ms":60000"#)
    let child = try #require(Int32(said.structured.text.dropLast()))
    #expect(kill(child, 0) == 0)
    #expect(try await agent.end() == .exited(0))
    #expect(kill(child, 0) != 0)
  }

  @Test("A client of 2026-07-28 is served beside one with a handshake")
  func stateless() async throws {
    let agent = try await Agent()
    try await agent.send(
      message("server/discover", id: "1", "{\(TestServer.meta)}"),
      toolCall("list", "", id: "2", meta: "," + TestServer.meta),
      message("server/discover", id: "3"),
      message(
        "tools/list", id: "4",
        "{\(TestServer.meta.replacingOccurrences(of: "2026-07-28", with: "2027-01-01"))}"))
    #expect(try await agent.answer(1).result?.supportedVersions?.first == "2026-07-28")
    #expect(try await agent.answer(2).result?.resultType == "complete")
    #expect(try await agent.answer(3).error?.code == -32601)
    #expect(try await agent.answer(4).error?.code == -32022)
    #expect(try await agent.end() == .exited(0))
  }

  @Test("A wait holds up no other request, and a cancelled one is not answered")
  func concurrency() async throws {
    let agent = try await Agent()
    let cat = try await agent.call(1, "exec_command", #""command":["cat"],"wait_ms":0"#)
    let id = try #require(cat.structured.session_id)
    let wait = #""session_id":"\#(id)","text":"x","wait_ms":60000"#
    try await agent.send(
      toolCall("wait_for", wait, id: "2"), toolCall("wait_for", wait, id: "3"),
      toolCall("list", "", id: "4"))
    #expect(try await agent.answer(4).structured.processes?.count == 1)
    // An id that still waits is taken.
    try await agent.send(message("ping", id: "3"))
    #expect(try await agent.answer(3).error?.code == -32600)
    try await agent.send(
      message("notifications/cancelled", id: nil, #"{"requestId":3}"#),
      message("notifications/cancelled", id: nil, #"{"requestId":77}"#),
      message("notifications/cancelled", id: nil, "{}"),
      toolCall("write_stdin", #""session_id":"\#(id)","text":"x""#, id: "5"))
    #expect(try await agent.answer(2).structured.wait_for?.outcome == "matched")
    #expect(try await agent.answer(5).result?.isError == false)
    #expect(try await agent.end() == .exited(0))
    #expect(try agent.answers.filter { $0.id == .number(3) }.count == 1)
  }

  @Test("What is written to stdin in a row arrives in that order")
  func order() async throws {
    let agent = try await Agent()
    let cat = try await agent.call(1, "exec_command", #""command":["cat"],"wait_ms":0"#)
    let id = try #require(cat.structured.session_id)
    let writes = (100..<300).map {
      toolCall("write_stdin", #""session_id":"\#(id)","text":"\#($0)\n""#, id: "\($0)") + "\n"
    }
    try await agent.input.write(Array(writes.joined().utf8))
    _ = try await agent.call(
      2, "write_stdin", #""session_id":"\#(id)","eof":true"#)
    let all = try await agent.call(3, "wait_for", #""session_id":"\#(id)","wait_ms":60000"#)
    #expect(all.structured.text == (100..<300).map { "\($0)\n" }.joined())
    #expect(try await agent.end() == .exited(0))
  }

  @Test("An id may be used again as soon as its answer is there")
  func sameID() async throws {
    let agent = try await Agent()
    for count in 1...50 {
      try await agent.send(toolCall("read_output", #""session_id":"x""#, id: "1"))
      while try agent.answers.count < count { await Task.yield() }
    }
    #expect(try agent.answers.allSatisfy { $0.result?.isError == true })
    #expect(try await agent.end() == .exited(0))
  }

  @Test("The number of requests that wait is bounded")
  func tooMany() async throws {
    let agent = try await Agent()
    let cat = try await agent.call(1, "exec_command", #""command":["cat"],"wait_ms":0"#)
    let id = try #require(cat.structured.session_id)
    let limit = StdioServer.requestLimit
    for number in 100...100 + limit {
      try await agent.send(
        toolCall("wait_for", #""session_id":"\#(id)","wait_ms":60000"#, id: "\(number)"))
    }
    let refused = try await agent.answer(100 + limit)
    #expect(refused.error?.code == -32603)
    #expect(refused.error?.message.contains("\(limit) requests wait") == true)
    try agent.daemon.signal(.terminate)
    #expect(try await agent.daemon.waitUntilClosed() == .exited(0))
    // Those that waited were answered.
    #expect(try agent.answers.count { $0.structured.wait_for != nil } == limit)
  }

  @Test("A line that is no message is answered with the reason, and the next one is read")
  func malformed() async throws {
    let agent = try await Agent()
    try await agent.send("{")
    #expect(try await agent.answer(nil).error?.code == -32700)
    try await agent.send(
      #"{"jsonrpc":"2.0","id":7}"#, "[\(message("ping"))]",
      #"{"jsonrpc":"2.0","id":8,"result":{}}"#, message("ping", id: "9"))
    #expect(try await agent.answer(7).error?.code == -32600)
    #expect(try await agent.answer(9).error == nil)
    let long = [UInt8](repeating: UInt8(ascii: "x"), count: (2 << 20) + 1)
    try await agent.input.write(long + Array("\n\(message("ping", id: "10"))\n".utf8))
    #expect(try await agent.answer(10).error == nil)
    let nameless = try agent.answers.filter { $0.id == nil }.compactMap(\.error)
    #expect(nameless.map(\.code) == [-32700, -32600, -32600])
    #expect(nameless[1].message.contains("batches"))
    #expect(nameless[2].message == "a line may have 2097152 bytes at most")
    // The last line needs no end.
    try await agent.input.write(Array(message("ping", id: "11").utf8))
    #expect(try await agent.end() == .exited(0))
    #expect(try agent.answers.last?.id == .number(11))
  }

  @Test("Batches come as lines of revision 2025-03-26")
  func batches() async throws {
    let agent = try await Agent()
    try await agent.send(message("initialize", id: "1", #"{"protocolVersion":"2025-03-26"}"#))
    #expect(try await agent.answer(1).result?.protocolVersion == "2025-03-26")
    try await agent.send("[\(message("ping", id: "2")),\(message("ping", id: "3"))]")
    while !agent.daemon.session.output().chunks.payload.description.contains(
      #"[{"jsonrpc":"2.0","id":2,"result":{}},{"jsonrpc":"2.0","id":3,"result":{}}]"#)
    { try await Task.sleep(for: .milliseconds(2)) }
    #expect(try await agent.end() == .exited(0))
  }

  @Test("Output goes to stdout and the log to stderr")
  func log() async throws {
    let agent = try await Agent()
    _ = try await agent.call(1, "exec_command", #""command":"echo secret","wait_ms":60000"#)
    #expect(try await agent.end() == .exited(0))
    let log = agent.daemon.session.output().payload(of: .stderr).description
    #expect(log.contains("info processd: started"))
    #expect(!log.contains("secret"))
    #expect(try agent.answers.count == 1)
  }

  @Test(
    "An option of HTTP is refused beside --stdio",
    arguments: [
      ["--host", "127.0.0.1"], ["--port", "1"], ["--unix", "/tmp/x"], ["--allowed-host", "x"],
      ["--tokens", "/tmp/x"], ["--on-revoke", "keep"], ["--max-connections", "1024"],
      ["--connections-per-workspace", "1"], ["--env-name", "local"],
      ["--access-log", "-"],
    ])
  func options(option: [String]) async throws {
    let daemon = try await CommandHost.shared.launch(
      Command(builtExecutable("processd"), arguments: ["--stdio"] + option),
      into: Session(id: randomID(), workspaceID: "test"))
    #expect(try await daemon.waitUntilClosed() == .exited(64))
    #expect(
      daemon.session.output().chunks.payload.description.contains(
        "\(option[0]) is for HTTP: leave it out, or --stdio"))
  }

  /// A server of this process's own, which no client reads.
  @Test("A client that takes no answers does not hold up the end")
  func notReading() async throws {
    // The last line is being written when its reader goes.
    _ = signal(SIGPIPE, SIG_IGN)
    var configuration = APIServer.Configuration(
      tokens: .fixed(try TokenTable(token: "t", workspace: "w")))
    configuration.limits.farewell = .milliseconds(50)
    var (input, output): ([Int32], [Int32]) = ([0, 0], [0, 0])
    #expect(unsafe pipe(&input) == 0 && pipe(&output) == 0)
    defer { for descriptor in input + output { close(descriptor) } }
    let log = LogLines()
    let logger = Logger(label: "test") { _ in log }
    let server = try StdioServer(
      configuration, input: input[0], output: output[1], logger: logger)
    let group = ServiceGroup(services: [server], logger: logger)
    async let run: Void = group.run()
    // More answers than the pipe takes, and fewer requests than the other one does.
    let list = message("tools/list") + "\n"
    try Descriptor(input[1]).write(Array(String(repeating: list, count: 100).utf8))
    var request = pollfd(fd: output[0], events: Int16(POLLIN), revents: 0)
    #expect(unsafe poll(&request, 1, -1) == 1)
    await group.triggerGracefulShutdown()
    try await run
    #expect(server.jobs.counts == JobTable.Counts())
  }

  @Test("Bytes are divided into lines, however they come", arguments: 1...12)
  func splitting(size: Int) {
    let bytes = Array("one\n\r\n \t\ntwo\nlonger than it may be\n12345678\nlast".utf8)
    var splitter = LineSplitter(limit: 8)
    var lines: [String] = []
    func add(_ line: LineInput.Line) {
      switch line {
      case .text(let bytes): lines.append(String(decoding: bytes, as: UTF8.self))
      case .tooLong: lines.append("too long")
      }
    }
    for start in stride(from: 0, to: bytes.count, by: size) {
      for line in splitter.take(bytes[start..<min(bytes.count, start + size)]) { add(line) }
    }
    if let last = splitter.finish() { add(last) }
    #expect(lines == ["one", "two", "too long", "12345678", "last"])
  }
}
