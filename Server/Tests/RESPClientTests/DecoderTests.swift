import NIOCore
import Testing

@testable import RESPClient

/// What the decoder makes of well-formed values.
@Suite struct DecoderTests {
  static let corpus: [(String, RESPValue)] = [
    ("+OK\r\n", .simpleString("OK")), ("+\r\n", .simpleString("")),
    ("-WRONGTYPE no\r\n", .error("WRONGTYPE no")), ("!5\r\nERR a\r\n", .error("ERR a")),
    (":0\r\n", .integer(0)), (":-1\r\n", .integer(-1)), (":+7\r\n", .integer(7)),
    (":9223372036854775807\r\n", .integer(.max)), (":-9223372036854775808\r\n", .integer(.min)),
    ("$0\r\n\r\n", .bulk("")), ("$5\r\nhello\r\n", .bulk("hello")),
    ("$4\r\n\r\n\r\n\r\n", .bulk("\r\n\r\n")), ("$-1\r\n", .null), ("*-1\r\n", .null),
    ("_\r\n", .null), ("*0\r\n", .array([])),
    ("*2\r\n$1\r\na\r\n:1\r\n", .array([.bulk("a"), .integer(1)])),
    ("*2\r\n*1\r\n*0\r\n*-1\r\n", .array([.array([.array([])]), .null])),
    (
      "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n#f\r\n",
      .map([
        .init(.simpleString("a"), .integer(1)),
        .init(.simpleString("b"), .array([.boolean(false)])),
      ])
    ),
    ("%0\r\n", .map([])), ("~2\r\n:1\r\n:1\r\n", .set([.integer(1), .integer(1)])),
    (">1\r\n+invalidate\r\n", .push([.simpleString("invalidate")])),
    ("#t\r\n", .boolean(true)), (",1.5\r\n", .double(1.5)), (",10\r\n", .double(10)),
    (",-1e-3\r\n", .double(-0.001)), (",inf\r\n", .double(.infinity)),
    (",-inf\r\n", .double(-.infinity)),
    (
      "(-3492890328409238509324850943850943825024385\r\n",
      .bigNumber("-3492890328409238509324850943850943825024385")
    ),
    ("=7\r\ntxt:a\r\n\r\n", .verbatim(format: "txt", ByteBuffer(string: "a\r\n"))),
  ]

  @Test("Each type is decoded", arguments: corpus)
  func types(text: String, value: RESPValue) throws {
    #expect(try Decoding.values(text) == [value])
  }

  @Test("A double that is no number is decoded", arguments: ["nan", "-nan"])
  func notANumber(text: String) throws {
    guard case .double(let number) = try #require(try Decoding.values(",\(text)\r\n").first) else {
      Issue.record("it is no double")
      return
    }
    #expect(number.isNaN)
  }

  @Test("Values follow each other without a gap")
  func sequence() throws {
    let text = Self.corpus.map(\.0).joined()
    #expect(try Decoding.values(text) == Self.corpus.map(\.1))
  }

  @Test("A cut at any place changes nothing")
  func splits() throws {
    let bytes = Array(Self.corpus.map(\.0).joined().utf8)
    let expected = Self.corpus.map(\.1)
    for cut in 0...bytes.count {
      var decoding = Decoding()
      let first = try decoding.add(bytes[..<cut])
      let second = try decoding.add(bytes[cut...])
      #expect(first + second == expected)
      #expect(decoding.buffer.readableBytes == 0)
    }
  }

  @Test("Bytes that arrive one at a time are decoded when the value's last one arrives")
  func trickle() throws {
    var decoding = Decoding()
    for (text, value) in Self.corpus {
      let bytes = Array(text.utf8)
      for byte in bytes.dropLast() { #expect(try decoding.add([byte]) == []) }
      #expect(try decoding.add([bytes[bytes.count - 1]]) == [value])
    }
  }

  @Test("A payload holds any bytes")
  func binary() throws {
    let bytes = (0...255).map { UInt8($0) } + [0x0d, 0x0a]
    var decoding = Decoding()
    let value = try decoding.add(Array("$258\r\n".utf8) + bytes + [0x0d, 0x0a])
    #expect(value == [.bulk(ByteBuffer(bytes: bytes))])
  }

  @Test("Bytes of a line that are not UTF-8 are replaced")
  func notText() throws {
    var decoding = Decoding()
    #expect(try decoding.add([0x2d, 0x41, 0xff, 0x0d, 0x0a]) == [.error("A\u{fffd}")])
  }

  @Test("A small payload keeps no storage of the connection alive")
  func smallPayloads() throws {
    let text = "$3\r\nabc\r\n+" + String(repeating: "x", count: 10_000)
    let value = try #require(try Decoding.values(text).first)
    #expect(try #require(value.bytes).storageCapacity < 100)
  }

  @Test("Accessors return what the value is, and nil for other values")
  func accessors() {
    let bytes = ByteBuffer(string: "a")
    #expect(RESPValue.integer(3).integer == 3)
    #expect(RESPValue.bulk("3").integer == nil)
    #expect(RESPValue.simpleString("a").string == "a")
    #expect(RESPValue.simpleString("a").bytes == bytes)
    #expect(RESPValue.bulk("a").string == "a")
    #expect(RESPValue.bulk("a").bytes == bytes)
    #expect(RESPValue.verbatim(format: "txt", bytes).bytes == bytes)
    #expect(RESPValue.error("a").string == nil)
    #expect(RESPValue.error("a").errorText == "a")
    #expect(RESPValue.bulk("a").errorText == nil)
    #expect(RESPValue.null.bytes == nil)
    #expect(RESPValue.set([.null]).array == [.null])
    #expect(RESPValue.push([.null]).array == [.null])
    #expect(RESPValue.map([]).array == nil)
  }
}
