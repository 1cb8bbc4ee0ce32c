import Testing

@testable import ProcessServer

@Suite struct TokenTests {
  @Test func tables() throws {
    let table = try TokenTable(
      parsing: "# comment\n\n  one  w1 \r\ntwo\tw2\nthree w1\n#four w4\n!\"'=/+~ w5")
    for (token, workspace) in [
      ("one", "w1"), ("two", "w2"), ("three", "w1"), ("!\"'=/+~", "w5"),
    ] {
      #expect(table.workspace(of: token.utf8) == workspace)
    }
    for token in [
      "", "on", "one ", "onee", "ONE", "w1", "#four", "four", "one\0", "two\tw2",
      String(repeating: "x", count: 300),
    ] {
      #expect(table.workspace(of: token.utf8) == nil, "\(token.debugDescription)")
    }
  }

  @Test func longTokens() throws {
    let long = String(repeating: "x", count: 256)
    let table = try TokenTable(parsing: "\(long) w")
    #expect(table.workspace(of: long.utf8) == "w")
    #expect(table.workspace(of: long.dropLast().utf8) == nil)
    #expect(throws: TokenError.self) { try TokenTable(parsing: "\(long)x w") }
  }

  @Test(arguments: [
    ("", "no token"), ("# only\n", "no token"), ("a\n", "line 1"), ("a b c\n", "line 1"),
    ("a b\nc\n", "line 2"), ("a b\n\na c\n", "line 3"), ("é w\n", "line 1"),
  ])
  func badTables(text: String, message: String) {
    let error = #expect(throws: TokenError.self) { try TokenTable(parsing: text) }
    #expect(error?.description.contains(message) == true)
  }

  @Test(arguments: [
    ("127.0.0.1", true), ("127.1.2.3", true), ("localhost", true), ("::1", true),
    ("::ffff:127.0.0.1", true), ("0.0.0.0", false), ("::", false), ("127.0.0.1.example.com", false),
    ("10.0.0.1", false), ("127", false), ("", false), ("127.0.0.999", false),
    ("::ffff:10.0.0.1", false),
  ])
  func loopback(address: String, isLocal: Bool) {
    #expect(isLoopback(address: address) == isLocal)
  }
}
