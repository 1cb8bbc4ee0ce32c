import Foundation
import ProcessHost
import Testing

/// `--stdin` and `--tty`.
@Suite struct InputTests {
  @Test("capture --stdin passes all of its stdin on to the command")
  func stdinIsPassedOn() async throws {
    let result = try await Run(
      arguments: ["--stdin", "--", "sh", "-c", "cat | wc -c"],
      redirections: "</etc/passwd"
    ).result()
    let size = FileManager.default.contents(atPath: "/etc/passwd")?.count
    #expect(Int(result.text.filter { $0.isNumber }) == size)
    #expect(result.exit == .exited(0))
  }

  @Test("capture --stdin ends with a command that closes its stdin")
  func aCommandThatWantsNoneIsNotHeldUp() async throws {
    let result = try await Run(
      arguments: ["--stdin", "--", "sh", "-c", "exec <&-; echo hello"],
      redirections: "</dev/zero"
    ).result()
    #expect(result.text == "hello\n")
  }

  @Test("capture --stdin says that its stdin cannot be read, and ends the command's")
  func unreadable() async throws {
    let result = try await Run(
      arguments: ["--stdin", "--", "wc", "-c"], redirections: "</"
    ).result()
    #expect(result.text == "0\n")
    let line = "capture: cannot read stdin: Is a directory; it ends here for the command\n"
    #expect(result.stderr == line)
  }

  @Test("The command's stdin is empty without --stdin")
  func withoutTheOptionThereIsNone() async throws {
    let result = try await Run(
      arguments: ["--", "wc", "-c"], redirections: "</etc/passwd"
    ).result()
    #expect(result.text == "0\n")
  }

  @Test("capture --tty gives the command a terminal, and --stdin types into it")
  func terminal() async throws {
    let result = try await run("--tty", command: shell("tty >/dev/null && stty size; echo >&2"))
    #expect(result.text == "24 80\r\n\r\n")
    #expect(result.exit == .exited(0))
    let typed = try await Run(
      arguments: ["--tty", "--stdin", "--", "sh", "-c", "stty -echo; wc -l"],
      redirections: "</etc/passwd"
    ).result()
    let lines = FileManager.default.contents(atPath: "/etc/passwd")?.count { $0 == 10 }
    // What came before the command turned the echo off may stand before it.
    #expect(typed.text.hasSuffix("\(try #require(lines))\r\n"))
  }
}
