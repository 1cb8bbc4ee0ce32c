import BenchmarkHarness
import Foundation
import Testing

/// JSON as the harness writes it.
@Suite struct JSONTests {
  @Test("A string is escaped as JSON requires")
  func stringsAreEscaped() throws {
    let string = "a\"b\\c\n\r\t\u{1}\u{1F}é€😀/<>&"
    let text = JSON.string(string).text
    #expect(text == #""a\"b\\c\n\r\t\u0001\u001fé€😀/<>&""#)
    #expect(try JSONDecoder().decode([String].self, from: Data("[\(text)]".utf8)) == [string])
  }

  @Test("A number that JSON cannot represent is null")
  func numbersThatJSONCannotHoldAreNull() {
    #expect(JSON.optional(nil).text == "null")
    #expect(JSON.optional(.infinity).text == "null")
    #expect(JSON.optional(.nan).text == "null")
    #expect(JSON.number(-.infinity).text == "null")
    #expect(JSON.optional(0.25).text == "0.25")
    #expect(JSON.integer(65_536).text == "65536")
  }
}
