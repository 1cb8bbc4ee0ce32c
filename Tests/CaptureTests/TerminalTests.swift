import Foundation
import ProcessHost
import Testing

/// `--tty` and `--live` at a terminal.
@Suite(.timeLimit(.minutes(10))) struct TerminalTests {
  @Test("capture writes output live where its stdout is a terminal")
  func outputComesLiveAtATerminal() async throws {
    let console = try await Console("\"$0\" sh -c 'echo first; exec sleep 1000'; echo $?")
    #expect(await console.shows("first\r\n"))
    try console.process.signal(.terminate)
  }

  @Test(
    "capture writes output at the end with --no-live, --on-failure or --json",
    arguments: ["--no-live", "--on-failure", "--json"])
  func unlessItIsToComeAtTheEnd(_ option: String) async throws {
    let console = try await Console(
      "\"$0\" --foreground \(option) sh -c 'echo first; echo ready >/dev/tty; sleep 0.3; exit 1'; echo end"
    )
    #expect(await console.shows("end\r\n"))
    let text = console.text
    let output = try #require(text.range(of: option == "--json" ? "data_b64" : "first"))
    let ready = try #require(text.range(of: "ready"))
    #expect(ready.lowerBound < output.lowerBound)
  }

  @Test("The terminal does not echo a password typed to a command with --tty")
  func aPasswordIsNotShown() async throws {
    let line = "stty -echo; echo password; read x; stty echo; echo; echo got ${#x}"
    let console = try await Console("\"$0\" --tty sh -c '\(line)'; stty -a")
    #expect(await console.shows("password\r\n"))
    try await console.type("secret\r")
    #expect(await console.shows("got 6"))
    #expect(!console.text.contains("secret"))
    #expect(await console.shows(" icanon"))
    #expect(await console.shows(" echo "))
  }

  @Test("A command with --tty reads keys without Enter")
  func lessNeedsNoEnter() async throws {
    let console = try await Console("\"$0\" --tty less /etc/passwd; echo after-$?")
    #expect(await console.shows("root:"))
    try await console.type("q")
    #expect(await console.shows("after-0"))
  }

  @Test("Ctrl-C reaches a command with --tty through its terminal")
  func ctrlCReachesTheCommandsTerminal() async throws {
    let console = try await Console(
      "\"$0\" --tty sh -c 'trap \"echo caught; exit 5\" INT; echo ready;"
        + " while :; do sleep 1; done'; echo after-$?")
    #expect(await console.shows("ready"))
    try await console.type("\u{3}")
    #expect(await console.shows("caught"))
    #expect(await console.shows("after-5"))
  }

  @Test("The command's terminal follows the size of capture's terminal")
  func theSizeFollows() async throws {
    let console = try await Console(
      "\"$0\" --tty sh -c 'trap \"stty size\" WINCH; echo ready; while :; do sleep 0.1; done'")
    #expect(await console.shows("ready"))
    try console.process.resize(to: TerminalSize(rows: 31, columns: 97))
    #expect(await console.shows("31 97"))
  }

  @Test(
    "capture restores its terminal when a signal ends it",
    arguments: [ProcessSignal.interrupt, .terminate, .hangUp, .quit, .init(rawValue: SIGUSR1)])
  func theTerminalIsRestoredAfterASignal(_ signal: ProcessSignal) async throws {
    let line = "sh -c 'echo ready; exec sleep 1000'"
    let console = try await Console("ulimit -c 0; stty -a; \"$0\" --tty \(line); echo; stty -a")
    #expect(await console.shows("ready"))
    let capture = try #require(children(of: console.process.processID).first)
    #expect(kill(capture, signal.rawValue) == 0)
    #expect(await eventually { console.text.count(of: " icanon") == 2 }, "\(console.text)")
    #expect(!console.text.contains("-icanon"))
  }

  @Test("capture restores its terminal after a failed launch")
  func theTerminalIsRestoredAfterAFailedLaunch() async throws {
    let console = try await Console("\"$0\" --tty /no/such/command; echo after-$?; stty -a")
    #expect(await console.shows("after-127"))
    #expect(await console.shows(" icanon"))
  }

  @Test("capture restores its terminal while it is stopped")
  func theTerminalIsRestoredWhileCaptureIsStopped() async throws {
    // A shell that is not interactive does not set the mode itself.
    let line = "sh -c 'echo ready; read x; echo got-$x'"
    let console = try await Console(
      "set -m; \"$0\" --tty \(line); stty -a; stty rows 40; fg; echo after-$?; stty -a")
    #expect(await console.shows("ready"))
    let capture = try #require(children(of: console.process.processID).first)
    #expect(kill(capture, SIGTSTP) == 0)
    #expect(await console.shows(" icanon"))
    #expect(await eventually { state(of: capture) == "S" })
    try await console.type("x\r")
    #expect(await console.shows("got-x"))
    #expect(await console.shows("after-0"))
    #expect(await eventually { console.text.count(of: " icanon") == 2 })
    #expect(!console.text.contains("-icanon"))
  }
}

extension String {
  /// How often another text is in this one.
  fileprivate func count(of text: String) -> Int { components(separatedBy: text).count - 1 }
}
