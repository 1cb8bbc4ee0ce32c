import Foundation
import ProcessHost
import Processes
import Testing

@testable import capture

/// How `capture` divides its arguments, and what it reads in them.
@Suite struct CommandLineTests {
  @Test("capture leaves the arguments behind the command to the command")
  func whatFollowsTheCommandIsTheCommands() async throws {
    for arguments in [
      ["--linger", "2s", "sh", "-c", "echo $1 $2", "--json", "--live", "--"],
      ["--linger=2s", "--", "sh", "-c", "echo $1 $2", "--json", "--live", "--"],
    ] {
      let result = try await Run(arguments: arguments).result()
      #expect(result.text == "--live --\n", "\(result.stderr)")
      #expect(result.exit == .exited(0))
    }
  }

  @Test(
    "The command line splits into capture's options and the command",
    arguments: [
      (["ls", "-l"], [], ["ls", "-l"]),
      (["--", "--json"], [], ["--json"]),
      (["--json", "--", "--", "x"], ["--json"], ["--", "x"]),
      (["--timeout", "2s", "ls", "-l"], ["--timeout=2s"], ["ls", "-l"]),
      (["--timeout=2s", "ls"], ["--timeout=2s"], ["ls"]),
      (["--timeout", "--", "ls"], ["--timeout=--"], ["ls"]),
      (["--timeout", "-1", "ls"], ["--timeout=-1"], ["ls"]),
      (["--timeout"], ["--timeout"], []),
      (["-k", "1", "-s", "9", "ls"], ["--kill-after=1", "--signal=9"], ["ls"]),
      (["-k1", "-s=INT", "ls"], ["--kill-after=1", "--signal=INT"], ["ls"]),
      (["--output", "-", "-"], ["--output=-"], ["-"]),
      (["--unknown", "ls"], ["--unknown"], ["ls"]),
      (["--generate-completion-script", "zsh"], ["--generate-completion-script", "zsh"], []),
      ([""], [], [""]),
      ([], [], []),
    ] as [([String], [String], [String])])
  func split(_ arguments: [String], _ options: [String], _ command: [String]) {
    let split = CommandLineSplit(arguments.map { Command.Text($0) })
    #expect(split.options == options)
    #expect(split.command == command.map { Command.Text($0) })
  }

  @Test(
    "The split keeps arguments byte for byte",
    arguments: [["--output", "a\u{1}"], ["--output=a\u{1}"]])
  func theSplitKeepsBytes(_ option: [String]) {
    let arguments = (option + ["b\u{1}", "c"]).map { text in
      Command.Text(bytes: text.utf8.map { $0 == 1 ? 0xff : $0 })
    }
    let split = CommandLineSplit(arguments)
    #expect(split.output?.bytes == [0x61, 0xff])
    #expect(split.command.map(\.bytes) == [[0x62, 0xff], [0x63]])
    #expect(split.parsed == ["--output=a\u{fffd}", "--", "b\u{fffd}"])
  }

  @Test("capture passes arguments that are not UTF-8 on byte for byte")
  func bytesThatAreNotUTF8ArePassedOn() async throws {
    let path = NSTemporaryDirectory() + "capture-bytes-" + UUID().uuidString
    let file = Command.Text(bytes: Array(path.utf8) + [0xff])
    defer { unsafe _ = unlink(file.bytes.map { CChar(bitPattern: $0) } + [0]) }
    let odd = Command.Text(bytes: [0x61, 0xff, 0x62])
    let session = Session(id: "bytes", workspaceID: "tests")
    let process = try await CommandHost.shared.launch(
      Command(
        Command.Text(captureExecutable),
        arguments: ["--no-live", "--output", file, "printf", "%s", odd]), into: session)
    #expect(try await process.waitUntilClosed() == .exited(0))
    #expect(Array(session.output().chunks.payload) == odd.bytes)
    let name = file.bytes.map { CChar(bitPattern: $0) } + [0]
    #expect(unsafe access(name, F_OK) == 0)
  }

  @Test("The option parser does not see the command's arguments")
  func theParserSeesNoArgumentsOfTheCommand() {
    let split = CommandLineSplit(
      ["--json", "echo"] + (0..<40_000).map { Command.Text(String($0)) })
    #expect(split.parsed == ["--json", "--", "echo"])
    #expect(split.command.count == 40_001)
  }

  @Test("capture passes 40,000 arguments on")
  func fortyThousandArgumentsAreAllPassedOn() async throws {
    let arguments = (1...40_000).map(String.init)
    let result = try await Run(
      arguments: ["sh", "-c", "echo $# ${40000}", "sh"] + arguments
    ).result()
    #expect(result.text == "40000 40000\n", "\(result.stderr)")
  }

  @Test("The split knows every option that takes a value")
  func theSplitKnowsEveryOptionThatTakesAValue() throws {
    struct Declaration: Decodable {
      struct Command: Decodable { let arguments: [Argument] }
      struct Argument: Decodable {
        let kind: String
        let names: [Name]?
      }
      struct Name: Decodable {
        let kind: String
        let name: String
      }
      let command: Command
    }
    let json = Data(Capture._dumpHelp().utf8)
    let declared = try JSONDecoder().decode(Declaration.self, from: json).command.arguments
    let names = declared.filter { $0.kind == "option" }.flatMap { $0.names ?? [] }
      .map { $0.kind == "long" ? "--\($0.name)" : "-\($0.name)" }
    #expect(!names.isEmpty)
    #expect(Set(CommandLineSplit.valueOptions.keys) == Set(names))
  }

  @Test("Durations are parsed with units from ms to d, and malformed ones are errors")
  func times() throws {
    for (text, duration) in [
      ("90", .seconds(90)), ("250ms", .milliseconds(250)), ("1.5h", .seconds(5_400)),
      ("2m", .seconds(120)), ("2d", .seconds(172_800)), ("0", .zero), (".5s", .milliseconds(500)),
      ("10000d", .seconds(864_000_000)),
    ] as [(String, Duration)] {
      #expect(try Duration.parse(text) == duration)
    }
    for text in ["", "s", "-1", "+1", "inf", "nan", "1e3", "0x10", "1 s", "1.2.3", "2w"] {
      #expect(throws: (any Error).self) { try Duration.parse(text) }
    }
  }

  @Test("Signals are parsed by name and by number, and unknown ones are errors")
  func signals() throws {
    for text in ["TERM", "SIGTERM", "term", "sigterm", "15"] {
      #expect(try ProcessSignal.parse(text) == .terminate)
    }
    #expect(try ProcessSignal.parse("64").rawValue == 64)
    for text in ["", "SIG", "0", "65", "-9", "TERMINATE"] {
      #expect(throws: (any Error).self) { try ProcessSignal.parse(text) }
    }
  }

  @Test(
    "capture writes completion scripts for bash, zsh and fish",
    arguments: ["bash", "zsh", "fish"])
  func completions(_ shell: String) async throws {
    let result = try await Run(arguments: ["--generate-completion-script", shell]).result()
    #expect(result.exit == .exited(0))
    #expect(result.text.contains("kill-after"))
  }
}
