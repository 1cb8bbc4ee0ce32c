import Foundation
import Testing

@testable import ProcessServer

/// What clients write to processes and terminals, and signals.
@Suite(.timeLimit(.minutes(10))) struct InputTests {
  @Test("A process reads its stdin from several requests up to the end")
  func cat() async throws {
    try await TestServer.run { server in
      let id = try await server.start("cat")
      for word in ["one ", "two ", "three"] {
        #expect(try await server.write(word, to: id).text == #"{"ok":true}"#)
      }
      #expect(try await server.write("", to: id, eof: true).status == 200)
      let output = try await server.output(id) { $0.closed }
      #expect(output.text == "one two three")
      #expect(output.exit_code == 0)
    }
  }

  @Test("An interactive program answers what a client writes to it")
  func bc() async throws {
    try await TestServer.run { server in
      let id = try await server.start("bc")
      _ = try await server.write("6 * 7\n", to: id)
      _ = try await server.write("12345678 * 9\n", to: id, eof: true)
      let output = try await server.output(id) { $0.closed }
      #expect(output.text == "42\n111111102\n")
      #expect(output.exit_code == 0)
    }
  }

  /// Bytes of any value, and more than a pipe holds, come back as they were.
  @Test("A process reads bytes of any value, and more of them than its pipe holds")
  func everyByte() async throws {
    try await TestServer.run { server in
      let id = try await server.start("cat")
      var sent: [UInt8] = []
      var received: [UInt8] = []
      var position = "0"
      for round in 0..<8 {
        let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 * (round + 1) + $0 >> 8) }
        let body = #"{"data_b64":"\#(Data(bytes).base64EncodedString())"}"#
        #expect(try await server.post("processes/\(id)/stdin", body).status == 200)
        sent += bytes
        while received.count < sent.count {
          let output = try await server.output(id, "since=\(position)&wait_ms=60000")
          for chunk in output.chunks { received += chunk.data }
          position = output.cursor
        }
      }
      #expect(received == sent)
    }
  }

  /// The end alone, without data.
  @Test("A request can close stdin without data")
  func theEndAlone() async throws {
    try await TestServer.run { server in
      let id = try await server.start("cat; echo done")
      #expect(try await server.post("processes/\(id)/stdin", #"{"eof":true}"#).status == 200)
      #expect(try await server.output(id) { $0.closed }.text == "done\n")
    }
  }

  @Test("A write after the end of stdin is refused")
  func behindTheEnd() async throws {
    try await TestServer.run { server in
      let id = try await server.start("cat; sleep 1000")
      _ = try await server.write("x", to: id, eof: true)
      let late = try await server.write("y", to: id)
      #expect(late.status == 409)
      #expect(late.code == "stdin_closed")
      #expect(try await server.output(id) { !$0.chunks.isEmpty }.text == "x")
    }
  }

  /// Nor while the end itself waits for the process to read.
  @Test("A write after the end of stdin is refused while the end still waits")
  func behindAnEndThatWaits() async throws {
    try await TestServer.run {
      $0.limits.stdinPatience = .milliseconds(5)
    } _: { server in
      let id = try await server.start("exec sleep 1000")
      let reply = try await server.write(String(repeating: "x", count: 500_000), to: id, eof: true)
      #expect(reply.text.hasPrefix(#"{"ok":true,"pending_bytes":"#))
      let late = try await server.write("y", to: id)
      #expect(late.status == 409)
      #expect(late.code == "stdin_closed")
    }
  }

  @Test("A write to a process that closed its stdin is refused")
  func aProcessThatHasClosedItsStdin() async throws {
    try await TestServer.run { server in
      let id = try await server.start("exec <&-; echo closed; exec sleep 1000")
      _ = try await server.output(id) { !$0.chunks.isEmpty }
      let late = try await server.write("y", to: id)
      #expect(late.status == 409)
      #expect(late.code == "stdin_closed")
      #expect(try await server.output(id).session_alive)
    }
  }

  /// A process that does not read holds up no request; what waits for it is bounded, and comes in
  /// order.
  @Test("A process that does not read delays no request, and its pending input is bounded")
  func aProcessThatDoesNotRead() async throws {
    try await TestServer.run {
      $0.limits.stdinPatience = .milliseconds(5)
      $0.limits.stdinBytes = 300_000
    } _: { server in
      let id = try await server.start(
        "while [ ! -e \"$GO\" ]; do sleep 0.02; done; cat | tail -c 1000000",
        #","env":{"GO":"\#(server.go)"}"#)
      defer { try? FileManager.default.removeItem(atPath: server.go) }
      struct Answer: Decodable { var pending_bytes: Int? }
      var sent = ""
      var isFull = false
      for round in 0..<100 where !isFull {
        let text = String(repeating: "\(round % 10)", count: 50_000)
        let reply = try await server.write(text, to: id)
        if reply.status == 429 {
          #expect(reply.code == "stdin_full")
          isFull = true
        } else {
          #expect(reply.status == 200)
          #expect(try reply.decode(Answer.self).pending_bytes ?? 0 <= 300_000)
          sent += text
        }
      }
      #expect(isFull)
      #expect(sent.count >= 300_000)
      #expect(FileManager.default.createFile(atPath: server.go, contents: nil))
      while try await server.write("", to: id, eof: true).status != 200 {}
      let output = try await server.output(id) { $0.closed }
      #expect(output.text == sent)
    }
  }

  /// However few the bytes of each write.
  @Test("Pending input is bounded even if each write is small")
  func manySmallWritesThatWait() async throws {
    try await TestServer.run { server in
      let id = try await server.start("exec sleep 1000")
      let stdin = try server.server.jobs.job(id, of: "alice").process
      var accepted = 0
      var answer = try await stdin.write(
        [UInt8](repeating: 0, count: 200_000), isEnd: false, patience: .zero)
      while case .waiting = answer, accepted < 10_000 {
        accepted += 1
        #expect(try await stdin.write([], isEnd: false, patience: .zero) == answer)
        answer = try await stdin.write([0], isEnd: false, patience: .zero)
      }
      #expect(accepted < 10_000)
      if case .full = answer {} else { Issue.record("\(answer)") }
    }
  }

  /// Bytes that wait when the process ends are nobody's; the requests have been answered.
  @Test("A process can end while input is pending")
  func anEndWhileBytesWait() async throws {
    try await TestServer.run {
      $0.limits.stdinPatience = .milliseconds(5)
    } _: { server in
      let id = try await server.start("exec sleep 1000")
      let reply = try await server.write(String(repeating: "x", count: 500_000), to: id)
      #expect(reply.text.hasPrefix(#"{"ok":true,"pending_bytes":"#))
      try await server.post("processes/\(id)/terminate")
      let output = try await server.output(id) { $0.closed }
      #expect(output.exit_code == 143)
      #expect(try await server.write("y", to: id).code == "process_ended")
    }
  }

  @Test("A terminal has the requested size and can be resized")
  func aTerminal() async throws {
    try await TestServer.run { server in
      let id = try await server.start(
        "stty size; read x; stty size; trap 'stty size; exit' WINCH; echo ready;"
          + " while :; do sleep 0.1; done",
        #","tty":true,"rows":33,"cols":77"#)
      _ = try await server.output(id) { $0.text.contains("33 77") }
      #expect(
        try await server.post("processes/\(id)/resize", #"{"rows":40,"cols":100}"#).text
          == #"{"ok":true}"#)
      _ = try await server.write("\n", to: id)
      _ = try await server.output(id) { $0.text.contains("40 100") && $0.text.contains("ready") }
      _ = try await server.post("processes/\(id)/resize", #"{"rows":50,"cols":120}"#)
      let output = try await server.output(id) { $0.closed }
      #expect(output.text.contains("50 120"))
      #expect(output.chunks.allSatisfy { $0.stream == "stdout" })
    }
  }

  @Test("A terminal has 24 rows and 80 columns by default, and passes the end of input on")
  func aTerminalsDefaultSizeAndEnd() async throws {
    try await TestServer.run { server in
      let id = try await server.start("stty size; cat; echo over", #","tty":true"#)
      _ = try await server.output(id) { $0.text.contains("24 80") }
      _ = try await server.write("hello\n", to: id, eof: true)
      let output = try await server.output(id) { $0.closed }
      #expect(output.text.contains("hello\r\nhello\r\nover\r\n"))
    }
  }

  @Test(
    "A signal is accepted by name and by number, and ends the process",
    arguments: [
      (#""SIGINT""#, 130, "SIGINT"), (#""hup""#, 129, "SIGHUP"), ("9", 137, "SIGKILL"),
      (#""USR1""#, 138, "SIGUSR1"),
    ])
  func signals(signal: String, code: Int, name: String) async throws {
    try await TestServer.run { server in
      let id = try await server.start("exec sleep 1000")
      let reply = try await server.post("processes/\(id)/signal", #"{"signal":\#(signal)}"#)
      #expect(reply.text == #"{"ok":true}"#)
      let output = try await server.output(id) { $0.closed }
      #expect(output.exit_code == code)
      #expect(output.signal == name)
      #expect(!output.session_alive)
    }
  }

  /// A signal reaches the whole group; one that is caught does not end it.
  @Test("A signal that the process survives does not end its session")
  func aCaughtSignal() async throws {
    try await TestServer.run { server in
      let id = try await server.start(
        "trap 'echo caught' USR1; echo ready; while :; do sleep 0.02; done 2>/dev/null")
      _ = try await server.output(id) { $0.text.contains("ready") }
      try await server.post("processes/\(id)/signal", #"{"signal":"SIGWINCH"}"#)
      try await server.post("processes/\(id)/signal", #"{"signal":"SIGCONT"}"#)
      let output = try await server.output(id)
      #expect(output.session_alive)
      #expect(output.signal == nil)
    }
  }

  /// The environment and directory are what the request says.
  @Test("A process runs in the requested directory with the requested environment")
  func environmentAndDirectory() async throws {
    try await TestServer.run { server in
      let id = try await server.start(
        "pwd; echo $A-${PATH+set}-${HOME-unset}", #","cwd":"/usr","env":{"A":"é b","HOME":null}"#)
      let output = try await server.output(id) { $0.closed }
      #expect(output.text == "/usr\né b-set-unset\n")
    }
  }
}
