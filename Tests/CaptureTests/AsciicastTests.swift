import CaptureFormat
import Foundation
import ProcessHost
import Processes
import Synchronization
import Testing

/// A file of asciinema's format, as another program's parser reads it.
struct CastFile {
  struct Header: Decodable {
    let version: Int
    let width: Int
    let height: Int
    let timestamp: Int
    let command: String?
    let env: [String: String]?
  }

  struct Event: Decodable, Equatable {
    let time: Double
    let code: String
    let data: String

    init(_ time: Double, _ code: String, _ data: String) {
      (self.time, self.code, self.data) = (time, code, data)
    }

    init(from decoder: any Decoder) throws {
      var values = try decoder.unkeyedContainer()
      time = try values.decode(Double.self)
      code = try values.decode(String.self)
      data = try values.decode(String.self)
    }
  }

  let header: Header
  let events: [Event]

  init(_ data: Data) throws {
    let lines = data.split(separator: UInt8(ascii: "\n"))
    header = try JSONDecoder().decode(Header.self, from: lines.first ?? Data())
    events = try lines.dropFirst().map { try JSONDecoder().decode(Event.self, from: $0) }
  }

  /// What a player shows.
  var output: String { events.filter { $0.code == "o" }.map(\.data).joined() }
}

/// The encoding of sessions as asciicasts.
@Suite struct AsciicastEncodingTests {
  private static let header = Asciicast.Header(
    columns: 80, rows: 24, start: .seconds(1_700_000_000) + .milliseconds(900),
    command: "echo \"a\\b\"", term: "xterm")
  private var cast = Asciicast(Self.header)
  private let session: Session
  private let time: SharedTime

  /// A clock's time, in nanoseconds.
  private final class SharedTime: Sendable {
    let nanoseconds = Atomic<Int64>(0)
  }

  init() {
    let time = SharedTime()
    self.time = time
    session = Session(
      capacity: 1_000, timestamps: true,
      clock: ActivityClock { time.nanoseconds.load(ordering: .relaxed) })
  }

  private func append(_ bytes: [UInt8], to stream: StandardStream = .stdout, at time: Int64 = 0) {
    self.time.nanoseconds.store(time, ordering: .relaxed)
    session.append(bytes, to: stream)
  }

  private mutating func events() throws -> [CastFile.Event] {
    cast.append(session.output().chunks)
    cast.finish()
    return try CastFile(Data(cast.take())).events
  }

  @Test("The first line says how large the terminal was, when it began, and what ran")
  mutating func firstLine() throws {
    let header = try CastFile(Data(cast.take())).header
    #expect(header.version == 2)
    #expect(header.width == 80)
    #expect(header.height == 24)
    #expect(header.timestamp == 1_700_000_000)
    #expect(header.command == "echo \"a\\b\"")
    #expect(header.env == ["TERM": "xterm"])
  }

  @Test("What is not known is left out of the first line")
  func firstLineWithout() throws {
    var cast = Asciicast(
      Asciicast.Header(columns: 1, rows: 2, start: .seconds(-5), command: "", term: nil))
    let header = try CastFile(Data(cast.take())).header
    #expect(header.timestamp == 0)
    #expect(header.command == nil)
    #expect(header.env == nil)
  }

  @Test("Each chunk is an event with its time in seconds")
  mutating func chunks() throws {
    append(Array("a\r\n".utf8), at: 1_500_000)
    append(Array("b".utf8), to: .stderr, at: 3_000_000_000)
    let events = try events()
    #expect(events == [.init(0.0015, "o", "a\r\n"), .init(3, "o", "b")])
  }

  @Test("Control characters and quotation marks come through JSON")
  mutating func escapes() throws {
    let text = String(String.UnicodeScalarView((0..<0x100).map { Unicode.Scalar($0)! }))
    append(Array(text.utf8))
    #expect(try events().map(\.data) == [text])
  }

  @Test("A character that is cut belongs to the event of the chunk that ends it")
  mutating func cutCharacters() throws {
    let euro = Array("€".utf8)
    append([0x61] + euro[..<1], at: 1_000_000_000)
    append(Array(euro[1..<2]), at: 2_000_000_000)
    append(euro[2...] + [0x62], at: 3_000_000_000)
    #expect(try events() == [.init(1, "o", "a"), .init(3, "o", "€b")])
  }

  @Test("A character of one stream is not cut by the other")
  mutating func cutByTheOtherStream() throws {
    let euro = Array("€".utf8)
    append(Array(euro[..<2]))
    append(Array("é".utf8).dropLast(), to: .stderr)
    append(Array(euro[2...]))
    append(Array("é".utf8.suffix(1)), to: .stderr)
    #expect(try events().map(\.data) == ["€", "é"])
  }

  @Test("What is not UTF-8 is repaired, also at the end")
  mutating func invalid() throws {
    append([0x61, 0xff, 0x62])
    append([0xc3])
    append([0x63, 0xe2, 0x82])
    #expect(try events().map(\.data) == ["a\u{fffd}b", "\u{fffd}c", "\u{fffd}"])
  }

  @Test("However bytes are cut into chunks, the text is that of all of them", arguments: 0..<200)
  mutating func anyCut(seed: Int) throws {
    var random = Numbers(state: UInt64(seed))
    // Mostly beginnings and ends of characters.
    let bytes: [UInt8] = (0..<60).map { _ in
      [0x41, 0x80, 0x82, 0xbf, 0xc3, 0xe2, 0xed, 0xf0, 0xf4, 0xff][Int(random.next() % 10)]
    }
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = Int(random.next() % 5) + 1
      append(Array(rest.prefix(count)))
      rest = rest.dropFirst(count)
    }
    #expect(try events().map(\.data).joined() == String(decoding: bytes, as: UTF8.self))
  }

  private struct Numbers {
    var state: UInt64

    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state >> 33
    }
  }

  @Test("Resizes and gaps are events, and no event goes back in time")
  mutating func otherEvents() throws {
    append(Array("a".utf8) + [0xc3], at: 2_000_000_000)
    cast.append(session.output().chunks)
    cast.appendResize(columns: 100, rows: 30, at: .seconds(1))
    cast.appendGap(bytes: 10, at: .seconds(3))
    cast.appendGap(bytes: nil, at: nil)
    let events = try CastFile(Data(cast.take())).events
    #expect(
      events == [
        .init(2, "o", "a"), .init(2, "r", "100x30"), .init(2, "o", "\u{fffd}"),
        .init(3, "m", "capture: 10 bytes missed"),
        .init(3, "m", "capture: an unknown number of bytes missed"),
      ])
  }
}

/// `--asciicast`.
@Suite(.timeLimit(.minutes(10))) struct AsciicastTests {
  private let path = NSTemporaryDirectory() + "capture-cast-" + UUID().uuidString

  private func cast() throws -> CastFile {
    try CastFile(try #require(FileManager.default.contents(atPath: path)))
  }

  @Test(
    "capture --asciicast writes all of the output whichever format stdout has",
    arguments: [[], ["--live"], ["--json"], ["--on-failure"], ["--timestamps"], ["--head", "10"]])
  func allOfTheOutput(_ options: [String]) async throws {
    defer { unsafe _ = unlink(path) }
    let result = try await Run(
      arguments: options + ["--asciicast", path] + shell("printf '1\\n€2\\n'; sleep 0.05; echo 3")
    ).result()
    #expect(result.exit == .exited(0))
    let cast = try cast()
    #expect(cast.output == "1\n€2\n3\n")
    #expect(cast.header.command == #"sh -c 'printf '\''1\n€2\n'\''; sleep 0.05; echo 3'"#)
    #expect(abs(Double(cast.header.timestamp) - Date().timeIntervalSince1970) < 3_600)
    #expect(cast.events.map(\.time) == cast.events.map(\.time).sorted())
    #expect(try #require(cast.events.last).time >= 0.03)
  }

  @Test("capture --asciicast writes what a terminal gets")
  func inATerminal() async throws {
    defer { unsafe _ = unlink(path) }
    let result = try await run("--tty", "--asciicast", path, command: shell("printf 'a\\nb\\n'"))
    #expect(result.text == "a\r\nb\r\n")
    #expect(try cast().output == result.text)
  }

  @Test("capture --asciicast writes every byte of a flood, beside the file of --output")
  func flood() async throws {
    defer { unsafe _ = unlink(path) }
    defer { unsafe _ = unlink(path + ".txt") }
    let result = try await run(
      "--asciicast", path, "--output", path + ".txt", command: ["seq", "600000"])
    #expect(result.exit == .exited(0))
    let plain = try #require(FileManager.default.contents(atPath: path + ".txt"))
    #expect(plain.count == 4_088_895)
    #expect(Data(try cast().output.utf8) == plain)
  }

  @Test("The size of capture's terminal, and its changes, are in the file")
  func resizes() async throws {
    defer { unsafe _ = unlink(path) }
    let console = try await Console(
      "stty rows 20 cols 70; \"$0\" --tty --asciicast '\(path)' sh -c "
        + "'trap \"stty size; exit\" WINCH; echo ready; while :; do sleep 0.1; done'; echo end")
    #expect(await console.shows("ready"))
    try console.process.resize(to: TerminalSize(rows: 31, columns: 97))
    #expect(await console.shows("31 97"))
    #expect(await console.shows("end"))
    let cast = try cast()
    #expect(cast.header.width == 70)
    #expect(cast.header.height == 20)
    #expect(cast.events.filter { $0.code == "r" }.map(\.data) == ["97x31"])
    let change = try #require(cast.events.firstIndex { $0.code == "r" })
    let effect = try #require(cast.events.firstIndex { $0.data.contains("31 97") })
    #expect(change < effect)
  }

  @Test("A file of --asciicast that fails holds nothing up, and the file of --output is complete")
  func failure() async throws {
    defer { unsafe _ = unlink(path) }
    let result = try await run(
      "--asciicast", "/dev/full", "--output", path, command: ["head", "-c", "9000000", "/dev/zero"])
    #expect(result.exit == .exited(74))
    #expect(result.stderr.contains("cannot write to /dev/full: No space left on device"))
    #expect(FileManager.default.contents(atPath: path)?.count == 9_000_000)
  }

  @Test("capture does not start the command when it cannot open the file of --asciicast")
  func unopened() async throws {
    let result = try await run("--asciicast", "/no/such/file", command: shell("echo hello"))
    #expect(result.exit == .exited(125))
    #expect(result.text == "")
    #expect(
      result.stderr
        == "capture: cannot open /no/such/file for --asciicast: No such file or directory\n")
  }

  @Test("capture read --asciicast writes a recording as one, with a marker where output is lost")
  func fromARecording() async throws {
    let ring = path + ".ring"
    defer {
      unsafe unlink(ring)
      unsafe _ = unlink(path)
    }
    _ = try await run(
      "--timestamps", "--ring", ring, "--capacity", "1K", "--head", "10",
      command: shell("echo 123456789; seq 1000"))
    let result = try await Run(arguments: ["read", ring, "--asciicast", path]).result()
    #expect(result.exit == .exited(0), "\(result.stderr)")
    #expect(result.text == "")
    #expect(result.stderr.contains(" bytes lost; a marker says where\n"))
    let cast = try cast()
    #expect(cast.header.command == "sh -c 'echo 123456789; seq 1000'")
    #expect(cast.output.hasPrefix("123456789\n"))
    #expect(cast.output.hasSuffix("\n999\n1000\n"))
    #expect(cast.events.filter { $0.code == "m" }.count == 1)
    #expect(cast.events[1].data.contains("missed"))
  }

  @Test(
    "capture read refuses what needs timestamps that a recording lacks",
    arguments: [["--timestamps"], ["--asciicast", "/dev/null"]])
  func withoutTimestamps(_ options: [String]) async throws {
    let ring = path + ".ring"
    defer { unsafe _ = unlink(ring) }
    _ = try await run("--ring", ring, command: ["echo"])
    let result = try await Run(arguments: ["read", ring] + options).result()
    #expect(result.exit == .exited(66))
    #expect(result.stderr.contains("record with --timestamps"))
  }
}

/// `--timestamps`.
@Suite(.timeLimit(.minutes(10))) struct TimestampsTests {
  private let path = NSTemporaryDirectory() + "capture-times-" + UUID().uuidString

  /// The lines of a report with the times before them, and without.
  private func split(_ text: String) throws -> [(time: Double, line: Substring)] {
    try text.split(separator: "\n").map { line in
      let match = try #require(line.prefixMatch(of: #/\[ *(\d+\.\d{3})\] /#), "\(line)")
      return (Double(match.1)!, line[match.range.upperBound...])
    }
  }

  /// A shell's words that wait until capture has so many bytes, of which `--output` gets all, and
  /// then for a tenth of a second: what comes next is later by that.
  private func pause(after count: Int) -> String {
    "while [ $(stat -c %s '\(path)') -lt \(count) ]; do sleep 0.01; done; sleep 0.1"
  }

  @Test(
    "capture --timestamps writes before each line when it came", arguments: ["--live", "--no-live"])
  func lines(_ option: String) async throws {
    defer { unsafe _ = unlink(path) }
    let line =
      "echo a; echo e >&2; printf 'b\\nc'; \(pause(after: 7)); printf 'd\\n\\n'; echo"
    let result = try await run("--timestamps", option, "--output", path, command: shell(line))
    let lines = try split(result.text)
    #expect(lines.map(\.line) == ["a", "b", "cd", "", ""])
    #expect(lines[2].time < lines[3].time)
    #expect(lines[3].time - lines[2].time >= 0.08)
    #expect(try split(result.stderr).map(\.line) == ["e"])
  }

  @Test("A last line without a newline has its time, and none is added")
  func noNewline() async throws {
    let result = try await run("--timestamps", command: ["printf", "a\\nb"])
    #expect(result.text.hasSuffix("b"))
    #expect(try split(result.text).map(\.line) == ["a", "b"])
  }

  @Test("What follows a loss begins a line of its own")
  func loss() async throws {
    let result = try await run(
      "--timestamps", "--head", "3", command: shell("printf abc; head -c 2000000 /dev/zero"))
    #expect(result.text.contains("] abc\n["))
  }

  @Test("capture read --timestamps writes them from a recording, also of its last lines")
  func fromARecording() async throws {
    defer { unsafe _ = unlink(path) }
    let first = try await run("--timestamps", "--ring", path, command: ["seq", "5"])
    let again = try await Run(arguments: ["read", path, "--timestamps"]).result()
    #expect(again.text == first.text)
    let tail = try await Run(arguments: ["read", path, "--timestamps", "--tail", "2"]).result()
    #expect(try split(tail.text).map(\.line) == ["4", "5"])
    let plain = try await Run(arguments: ["read", path]).result()
    #expect(plain.text == "1\n2\n3\n4\n5\n")
  }

  private struct Line: Decodable {
    let seq: Int?
    let time: Double?
    let start: Double?
    let timestamps: Bool?
    let start_uncertainty: Double?
  }

  private func lines(_ result: RunResult) throws -> [Line] {
    try result.stdout.split(separator: UInt8(ascii: "\n")).map {
      try JSONDecoder().decode(Line.self, from: $0)
    }
  }

  @Test("capture --json --timestamps has the time of each chunk, and the start in the summary")
  func json() async throws {
    defer { unsafe _ = unlink(path) }
    let now = Date().timeIntervalSince1970
    let result = try await run(
      "--json", "--timestamps", "--output", path,
      command: shell("echo a; \(pause(after: 2)); echo b"))
    let lines = try lines(result)
    #expect(lines.count == 3)
    #expect(try #require(lines[1].time) - (try #require(lines[0].time)) >= 0.08)
    #expect(abs(try #require(lines[2].start) - now) < 3_600)
    let without = try self.lines(try await run("--json", command: ["echo"]))
    #expect(without.allSatisfy { $0.time == nil && $0.start == nil })
  }

  @Test("capture read --info says whether there are timestamps, and when the recording began")
  func info() async throws {
    defer { unsafe _ = unlink(path) }
    for timestamps in [false, true] {
      unsafe unlink(path)
      let options = timestamps ? ["--timestamps"] : []
      _ = try await Run(arguments: options + ["--ring", path, "echo"]).result()
      let result = try await Run(arguments: ["read", path, "--info", "--json"]).result()
      let info = try #require(try lines(result).first)
      #expect(info.timestamps == timestamps)
      #expect(abs(try #require(info.start) - Date().timeIntervalSince1970) < 3_600)
      #expect(try #require(info.start_uncertainty) > 0)
      let text = try await Run(arguments: ["read", path, "--info"]).result().text
      #expect(text.contains("timestamps:     yes, right within 0.0") == timestamps)
    }
  }
}
