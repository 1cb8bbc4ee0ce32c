import Foundation
import Testing

@testable import ProcessServer

/// Reading what clients send.
@Suite struct JSONTests {
  private func parse(_ text: String) throws -> JSONInput {
    try JSONInput(parsing: Array(text.utf8))
  }

  @Test(
    "Valid JSON is read with its values",
    arguments: [
      ("null", "null"), (" [ ] ", "[]"), ("{}", "{}"), ("[1,-0,1.5,2e+3]", "[1,-0,1.5,2e+3]"),
      (#"{"a":[true,false,null],"b":{"a":1}}"#, #"{"a":[true,false,null],"b":{"a":1}}"#),
      (#""\u00e9\ud83d\ude42\n\/""#, #""é🙂\n/""#),
    ])
  func valid(text: String, expected: String) throws { #expect(try parse(text).text == expected) }

  @Test(
    "Invalid JSON is refused",
    arguments: [
      "", " ", "{", "[1,]", "{\"a\":}", "{\"a\" 1}", "{a:1}", "01", "1.", ".5", "1e", "+1", "--1",
      "\"", "\"\u{1}\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"",
      "\"\\u+123\"", "tru", "nulll", "1 2", "[1]x", "\u{feff}{}", "'a'", "NaN", "[1 2]",
    ])
  func invalid(text: String) {
    let error = #expect(throws: APIError.self) { try parse(text) }
    #expect(error?.message.contains("not valid JSON") == true)
  }

  @Test("Bytes that are not UTF-8 are refused")
  func notText() {
    #expect(throws: APIError.self) { try JSONInput(parsing: [0x22, 0xff, 0x22]) }
  }

  @Test("A deeply nested value is refused before the stack is used up")
  func deep() {
    let error = #expect(throws: APIError.self) {
      try parse(String(repeating: "[", count: 1_000_000))
    }
    #expect(error?.message.contains("nested") == true)
  }

  @Test(
    "A duplicate name is refused with its path",
    arguments: [
      (#"{"a":1,"a":1}"#, "a stands twice"), (#"{"x":{"b":1,"\u0062":2}}"#, "x.b stands twice"),
      (#"{"x":[{"b":1},{"c":1,"c":2}]}"#, "x[1].c stands twice"),
    ])
  func duplicates(text: String, message: String) {
    let error = #expect(throws: APIError.self) { try parse(text) }
    #expect(error?.message.hasPrefix(message) == true)
  }

  @Test("Names that are only canonically equivalent are different names")
  func equivalentNames() throws { _ = try parse("{\"\u{e9}\":1,\"e\u{301}\":2}") }

  @Test(
    "An integer can be written with a fraction or an exponent",
    arguments: [("1", 1), ("1.0", 1), ("1e3", 1000), ("-0", 0), ("65535", 65_535), ("0.5e1", 5)])
  func integers(text: String, value: Int) throws {
    #expect(try Fields(parse(#"{"n":\#(text)}"#)).integer("n", in: 0...65_535) == value)
  }

  @Test(
    "A value that is not an integer in range is refused with the name of its field",
    arguments: [
      ("1.5", "n is 1.5: not an integer"), ("65536", "n is 65536: must be from 0 to 65535"),
      ("-1", "n is -1: must be from 0 to 65535"), ("1e400", "n is 1e400: "),
      ("99999999999999999999", "n is 99999999999999999999: must be from 0 to 65535"),
      ("\"1\"", "n is not an integer"), ("true", "n is not an integer"),
    ])
  func notIntegers(text: String, message: String) throws {
    let fields = try Fields(parse(#"{"n":\#(text)}"#))
    let error = #expect(throws: APIError.self) { try fields.integer("n", in: 0...65_535) }
    #expect(error?.message.hasPrefix(message) == true)
  }

  @Test("Base64 of any bytes is read and written as Foundation does")
  func base64Bytes() {
    for count in 0..<70 {
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 37 + count) }
      let text = Data(bytes).base64EncodedString()
      #expect([UInt8](base64: text.utf8) == bytes)
      #expect(base64(bytes) == text)
    }
  }

  @Test(
    "Malformed base64 is refused",
    arguments: [
      "Y", "YQ", "YQ=", "YQ===", "YQ==YQ==", "YQ==x", "YQ==\n", "YQ= =", "=YQ=", "====", "Y===",
      "YR==", "YWF=", "Y*==", "YQ__", "é===", "YWFh YWFh",
    ])
  func notBase64(text: String) { #expect([UInt8](base64: text.utf8) == nil) }

  @Test("SHA-256 digests agree with the standard's examples")
  func digests() {
    for (text, digest) in [
      ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
      (
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
      ),
      (
        String(repeating: "a", count: 1000),
        "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3"
      ),
    ] {
      #expect(SHA256Digest(of: text.utf8) == SHA256Digest(hexadecimal: digest))
    }
    #expect(SHA256Digest(hexadecimal: String(repeating: "g", count: 64)) == nil)
    #expect(SHA256Digest(hexadecimal: "00") == nil)
  }
}
