import Foundation
import Processes
import Testing

@testable import ProcessHost

/// What a full-screen program draws, read back with a terminal emulator: tmux.
@Suite(.enabled(if: isInstalled("tmux"), "tmux reads the screens back"))
struct ScreenTests {
  /// A file of a hundred numbered lines.
  private let file = TemporaryDirectory()

  /// The screen that results from some output, its lines without trailing blanks.
  private func screen(of output: String) async throws -> [String] {
    let directory = TemporaryDirectory()
    let recorded = directory.path + "/output"
    try Data(output.utf8).write(to: URL(fileURLWithPath: recorded))
    let socket = directory.path + "/socket"
    func tmux(_ arguments: String...) async throws -> String {
      text(
        try await capture(
          Command("tmux", arguments: ["-S", socket, "-f", "/dev/null"] + arguments)))
    }
    // As large as the terminal was; the status line would take one of its lines.
    _ = try await tmux(
      "new-session", "-d", "-x", "80", "-y", "24",
      "stty -opost -echo; cat '\(recorded)'; printf '\\033]2;drawn\\033\\134'; exec sleep 1000",
      ";", "set-option", "-g", "status", "off", ";", "resize-window", "-x", "80", "-y", "24")
    // The title comes last: then tmux has drawn all that came before.
    for _ in 0..<2_000 {
      if try await tmux("display-message", "-p", "#{pane_title}") == "drawn\n" { break }
      try await Task.sleep(for: .milliseconds(5))
    }
    let lines = try await tmux("capture-pane", "-p").split(
      separator: "\n", omittingEmptySubsequences: false
    ).map(String.init)
    _ = try await tmux("kill-server")
    return lines
  }

  /// Runs a program in a terminal, types when it has drawn something, and returns what it drew
  /// until it had drawn what was waited for.
  private func drive(
    _ command: Command, _ dialogue: [(await: String, type: String)], until end: String,
    leaveBy quit: String
  ) async throws -> String {
    var command = command
    command.terminal = TerminalSize(rows: 24, columns: 80)
    command.input = .pipe
    command.environment = .inherited(changing: [
      "TERM": "screen", "LESS": nil, "LC_ALL": "C", "VIMINIT": nil,
    ])
    let process = try await CommandHost.shared.launch(command, into: freshSession())
    func drawn(_ part: String) async {
      while !text(process.session).contains(part), !process.session.isClosed {
        _ = await process.session.output(
          since: Cursor(seq: process.session.lastSeq), waitingUpTo: .seconds(1))
      }
    }
    for (part, keys) in dialogue {
      await drawn(part)
      try await process.input?.write(keys.utf8)
    }
    await drawn(end)
    let result = text(process.session)
    try await process.input?.write(quit.utf8)
    #expect(try await process.waitUntilClosed() == .exited(0))
    return result
  }

  private func numberedLines() -> String {
    file.file("lines", (1...100).map { "this is line \($0)\n" }.joined(), mode: 0o600)
  }

  @Test("The captured output of less draws its screen", .enabled(if: isInstalled("less")))
  func less() async throws {
    let drawn = try await drive(
      Command("less", numberedLines()), [("line 23", "57g")], until: "line 79",
      leaveBy: "q")
    let screen = try await screen(of: drawn)
    #expect(Array(screen.prefix(23)) == (57...79).map { "this is line \($0)" })
  }

  @Test("The captured output of vim draws its screen", .enabled(if: isInstalled("vim")))
  func vim() async throws {
    let drawn = try await drive(
      Command("vim", "-u", "NONE", "-N", "-n", numberedLines()),
      [("line 23", ":2,99d\r"), ("98 fewer lines", "ggihello \u{1b}:set ruler\r")],
      until: "1,6", leaveBy: ":q!\r")
    let screen = try await screen(of: drawn)
    #expect(Array(screen.prefix(3)) == ["hello this is line 1", "this is line 100", "~"])
  }
}

/// Whether a program can be found.
private func isInstalled(_ name: String) -> Bool {
  (try? ExecutableLookup.path(of: Command(name))) != nil
}
