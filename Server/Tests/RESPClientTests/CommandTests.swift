import NIOCore
import Testing

@testable import RESPClient

/// Commands as bytes, and the names of scripts.
@Suite struct CommandTests {
  private func text(_ commands: RESPCommand...) -> String {
    RESPOutput(commands).parts.map { String(buffer: $0) }.joined()
  }

  @Test("A command is an array of its words")
  func words() {
    #expect(text(RESPCommand("PING")) == "*1\r\n$4\r\nPING\r\n")
    #expect(
      text(RESPCommand("SET", "é", -12)) == "*3\r\n$3\r\nSET\r\n$2\r\né\r\n$3\r\n-12\r\n")
    let arguments: [any RESPArgument] = [[0x61, 0x62] as [UInt8], ByteBuffer(), Int.max]
    #expect(
      text(RESPCommand("X", arguments: arguments))
        == "*4\r\n$1\r\nX\r\n$2\r\nab\r\n$0\r\n\r\n$19\r\n9223372036854775807\r\n")
  }

  @Test("Commands follow each other in one part")
  func commands() {
    let output = RESPOutput([RESPCommand("A"), RESPCommand("B")])
    #expect(output.parts == [ByteBuffer(string: "*1\r\n$1\r\nA\r\n*1\r\n$1\r\nB\r\n")])
    #expect(output.count == 22)
    #expect(RESPOutput().parts == [])
  }

  @Test("A large buffer is a part of its own, without a copy")
  func large() {
    let payload = ByteBuffer(repeating: 0x61, count: RESPOutput.ownPart)
    let output = RESPOutput([RESPCommand("SET", payload), RESPCommand("PING")])
    #expect(output.parts.count == 3)
    #expect(output.parts[1] == payload)
    #expect(output.parts[1].address == payload.address)
    let header = "*2\r\n$3\r\nSET\r\n$\(RESPOutput.ownPart)\r\n"
    #expect(output.parts[0] == ByteBuffer(string: header))
    #expect(output.parts[2] == ByteBuffer(string: "\r\n*1\r\n$4\r\nPING\r\n"))
    #expect(output.count == output.parts.reduce(0) { $0 + $1.readableBytes })
  }

  @Test(
    "A script is named by its SHA-1",
    arguments: [
      ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
      ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
      (
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
      ),
      (String(repeating: "a", count: 55), "c1c8bbdc22796e28c0e15163d20899b65621d65a"),
      (String(repeating: "a", count: 56), "c2db330f6083854c99d4b5bfb6e8f29f201be699"),
      (String(repeating: "a", count: 64), "0098ba824b5c16427bd7a1122a5a442a25ec644d"),
      (String(repeating: "a", count: 100_000), "c4d4b30851182fc4eb8675494d42fd7f17e29c93"),
    ])
  func scripts(source: String, sha1: String) {
    #expect(RedisScript(source: source).sha1 == sha1)
  }

  @Test("A script's commands have the number of its keys")
  func scriptCommands() {
    let script = RedisScript(source: "x")
    #expect(
      text(script.eval(keys: ["k"], arguments: [5]))
        == "*5\r\n$4\r\nEVAL\r\n$1\r\nx\r\n$1\r\n1\r\n$1\r\nk\r\n$1\r\n5\r\n")
    #expect(
      text(script.evalSHA(keys: []))
        == "*3\r\n$7\r\nEVALSHA\r\n$40\r\n\(script.sha1)\r\n$1\r\n0\r\n")
  }

  @Test("Delays double up to the last, and are at least half of that")
  func delays() {
    var backoff = Backoff(first: .milliseconds(50), last: .seconds(2))
    var generator = SeededGenerator(seed: 1)
    for longest in [50, 100, 200, 400, 800, 1600, 2000, 2000] {
      let delay = backoff.delay(using: &generator)
      #expect(delay <= .milliseconds(longest))
      #expect(delay >= .milliseconds(longest) / 2)
    }
    backoff.reset()
    #expect(backoff.delay(using: &generator) <= .milliseconds(50))
  }
}

extension ByteBuffer {
  /// Where the bytes are, as a number.
  fileprivate var address: UInt {
    unsafe withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
  }
}
