import Foundation
import Testing

@testable import ProcessServer

/// Token tables and their files.
@Suite struct TokenTests {
  @Test("A token table maps each token to its workspace, and only exact tokens")
  func tables() throws {
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

  @Test("A token can have 256 bytes and no more")
  func longTokens() throws {
    let long = String(repeating: "x", count: 256)
    let table = try TokenTable(parsing: "\(long) w")
    #expect(table.workspace(of: long.utf8) == "w")
    #expect(table.workspace(of: long.dropLast().utf8) == nil)
    #expect(throws: TokenError.self) { try TokenTable(parsing: "\(long)x w") }
  }

  @Test("A digest stands for its token")
  func digests() throws {
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    let table = try TokenTable(parsing: "sha256:\(digest) w1\nother w2")
    #expect(table.workspace(of: "abc".utf8) == "w1")
    #expect(table.workspace(of: "sha256:\(digest)".utf8) == nil)
    #expect(table.workspace(of: digest.utf8) == nil)
    let error = #expect(throws: TokenError.self) {
      try TokenTable(parsing: "abc w1\nsha256:\(digest) w1")
    }
    #expect(error?.description.contains("line 2") == true)
    #expect(throws: TokenError.self) { try TokenTable(parsing: "sha256:12 w") }
  }

  @Test("A token table in memory contains no token")
  func secrecy() throws {
    let table = try TokenTable(parsing: "a-long-token-of-one w1")
    var text = ""
    dump(table, to: &text)
    #expect(!text.contains("a-long-token-of-one"))
    #expect(text.contains("w1"))
  }

  @Test(
    "A token file of another user is accepted if only a group of this process may read it",
    .enabled(if: geteuid() == 0, "takes root"),
    arguments: [
      (0o440, 1234, true, true), (0o640, 1234, true, true), (0o400, 1234, true, false),
      (0o440, 1234, false, false), (0o444, 1234, true, false), (0o660, 1234, true, false),
      (0o640, 0, true, false), (0o400, 0, true, true),
    ])
  func mountedFiles(mode: Int, owner: Int, isByOwnGroup: Bool, isAccepted: Bool) throws {
    let path = NSTemporaryDirectory() + "processd-mounted-\(randomID())"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data("t w\n".utf8).write(to: URL(fileURLWithPath: path))
    #expect(unsafe chown(path, uid_t(owner), isByOwnGroup ? getegid() : 4321) == 0)
    #expect(unsafe chmod(path, mode_t(mode)) == 0)
    #expect(((try? TokenTable(contentsOfFile: path)) != nil) == isAccepted)
  }

  @Test(
    "A malformed token table is an error with its line",
    arguments: [
      ("", "no token"), ("# only\n", "no token"), ("a\n", "line 1"), ("a b c\n", "line 1"),
      ("a b\nc\n", "line 2"), ("a b\n\na c\n", "line 3"), ("é w\n", "line 1"),
    ])
  func badTables(text: String, message: String) {
    let error = #expect(throws: TokenError.self) { try TokenTable(parsing: text) }
    #expect(error?.description.contains(message) == true)
  }

  @Test(
    "Only loopback addresses count as local",
    arguments: [
      ("127.0.0.1", true), ("127.1.2.3", true), ("localhost", true), ("::1", true),
      ("::ffff:127.0.0.1", true), ("0.0.0.0", false), ("::", false),
      ("127.0.0.1.example.com", false),
      ("10.0.0.1", false), ("127", false), ("", false), ("127.0.0.999", false),
      ("::ffff:10.0.0.1", false),
    ])
  func loopback(address: String, isLocal: Bool) {
    #expect(isLoopback(address: address) == isLocal)
  }
}
