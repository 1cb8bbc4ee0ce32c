import NIOCore
import Testing

@testable import RESPClient

/// What the decoder refuses.
@Suite struct DecoderLimitTests {
  private func refusal(
    _ text: String, _ limits: RESPDecoder.Limits = RESPDecoder.Limits()
  ) -> String? {
    let error = #expect(throws: RESPError.self) { try Decoding.values(text, limits: limits) }
    return error?.description
  }

  @Test(
    "Malformed input is refused with what is wrong",
    arguments: [
      ("HTTP/1.1 400", "byte 72, which is no type"), ("\r\n", "byte 13"), ("\n", "byte 10"),
      ("|1\r\n", "byte 124"), ("+a\n", "without a carriage return"),
      ("+a\rb", "a carriage return inside"), ("+a\r\r\n", "a carriage return inside"),
      (":\r\n", "integer"), (":a\r\n", "integer"), (":1a\r\n", "integer"), (":-\r\n", "integer"),
      (": 1\r\n", "integer"), (":1.0\r\n", "integer"), (":9223372036854775808\r\n", "integer"),
      (":-9223372036854775809\r\n", "integer"), (":99999999999999999999\r\n", "integer"),
      ("$\r\n", "length"), ("$-2\r\n", "length"), ("$+1\r\n", "length"), ("$x\r\n", "length"),
      ("*?\r\n", "length"), ("$?\r\n", "length"), ("*-2\r\n", "length"), ("%-1\r\n", "length"),
      ("~-1\r\n", "length"), ("*99999999999999999999\r\n", "length"),
      ("%9223372036854775807\r\n", "elements"), ("$1\r\nab\r\n", "longer than announced"),
      ("$1\r\na\n\r\n", "longer than announced"), ("$0\r\n\n\r", "longer than announced"),
      ("_x\r\n", "null"), ("#x\r\n", "boolean"), ("#true\r\n", "boolean"), ("#\r\n", "boolean"),
      (",\r\n", "double"), (",x\r\n", "double"), (",0x1p3\r\n", "double"), (",1e\r\n", "double"),
      (",infinity\r\n", "double"), ("(\r\n", "big number"), ("(-\r\n", "big number"),
      ("(1x\r\n", "big number"), ("=3\r\ntxt\r\n", "format"), ("=4\r\ntxt-\r\n", "format"),
    ])
  func malformed(text: String, problem: String) {
    #expect(refusal(text)?.contains(problem) == true)
  }

  @Test("32 levels are decoded, and one more is refused")
  func depth() throws {
    let deepest = String(repeating: "*1\r\n", count: 32)
    #expect(try Decoding.values(deepest + ":1\r\n").count == 1)
    #expect(refusal(deepest + "*0\r\n") == "a value has more than 32 levels")
    #expect(refusal(String(repeating: "*1\r\n", count: 1_000_000))?.contains("levels") == true)
  }

  @Test("A payload above the limit is refused by its header")
  func payload() throws {
    var limits = RESPDecoder.Limits()
    limits.bulkBytes = 4
    #expect(try Decoding.values("$4\r\nabcd\r\n", limits: limits) == [.bulk("abcd")])
    #expect(refusal("$5\r\n", limits) == "a payload has 5 bytes; it may have 4")
    #expect(refusal("!5\r\n", limits)?.contains("5 bytes") == true)
    #expect(refusal("=5\r\n", limits)?.contains("5 bytes") == true)
    #expect(refusal("$9223372036854775807\r\n")?.contains("payload") == true)
  }

  @Test("A line above the limit is refused before it ends")
  func line() throws {
    var limits = RESPDecoder.Limits()
    limits.lineBytes = 4
    #expect(try Decoding.values("+abc\r\n", limits: limits) == [.simpleString("abc")])
    #expect(refusal("+abcd", limits) == "a line has more than 4 bytes")
    #expect(refusal("+abcd\r\n", limits) == "a line has more than 4 bytes")
  }

  @Test("The elements of all aggregates of a value are counted together, and for each value anew")
  func elements() throws {
    var limits = RESPDecoder.Limits()
    limits.elements = 4
    let fitting = "*2\r\n*2\r\n:1\r\n:2\r\n:3\r\n"
    #expect(try Decoding.values(fitting + fitting, limits: limits).count == 2)
    #expect(refusal("*5\r\n", limits) == "a value has more than 4 elements")
    #expect(refusal("*3\r\n:1\r\n*2\r\n", limits)?.contains("elements") == true)
    #expect(refusal("%3\r\n", limits)?.contains("elements") == true)
  }

  @Test("The bytes of a value are counted together, and for each value anew")
  func bytes() throws {
    var limits = RESPDecoder.Limits()
    limits.valueBytes = 12
    let fitting = "*2\r\n$2\r\nab\r\n$2\r\nab\r\n"
    #expect(try Decoding.values(fitting + fitting, limits: limits).count == 2)
    #expect(
      refusal("*2\r\n$2\r\nab\r\n$5\r\n", limits) == "a value has more than 12 bytes")
  }

  /// With memory for all that they announce, these headers would need terabytes.
  @Test("Headers alone occupy no memory for what they announce")
  func announcements() throws {
    var limits = RESPDecoder.Limits()
    limits.elements = .max
    limits.bulkBytes = .max / 2
    limits.valueBytes = .max
    for header in ["*1000000000000\r\n", "%1000000000000\r\n", "$1000000000000\r\n"] {
      var decoding = Decoding(limits: limits)
      #expect(try decoding.add(header.utf8) == [])
      #expect(decoding.buffer.capacity < 1000)
    }
  }

  /// A search from the start for each byte would take very long here.
  @Test("A long line and a large aggregate that arrive one byte at a time take linear time")
  func trickle() throws {
    var limits = RESPDecoder.Limits()
    limits.lineBytes = 1 << 20
    var decoding = Decoding(limits: limits)
    var count = 0
    for byte in "+".utf8 { count += try decoding.add([byte]).count }
    for _ in 0..<100_000 { count += try decoding.add(CollectionOfOne(0x61)).count }
    for byte in "\r\n*20000\r\n".utf8 { count += try decoding.add([byte]).count }
    for _ in 0..<20_000 { for byte in ":1\r\n".utf8 { count += try decoding.add([byte]).count } }
    #expect(count == 2)
  }
}
