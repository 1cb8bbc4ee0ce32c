import Testing

@testable import RESPClient

/// URLs of servers.
@Suite struct URLTests {
  @Test(
    "A URL is parsed into its parts",
    arguments: [
      ("redis://h", RedisURL(address: .host("h", port: 6379))),
      ("REDIS://h/", RedisURL(address: .host("h", port: 6379))),
      ("redis://h:1/15", RedisURL(address: .host("h", port: 1), database: 15)),
      ("rediss://h:65535", RedisURL(address: .host("h", port: 65535), usesTLS: true)),
      ("redis://[::1]", RedisURL(address: .host("::1", port: 6379))),
      ("redis://[::1]:7", RedisURL(address: .host("::1", port: 7))),
      ("redis://u:p@h", RedisURL(address: .host("h", port: 6379), user: "u", password: "p")),
      ("redis://:p@h", RedisURL(address: .host("h", port: 6379), password: "p")),
      ("redis://@h", RedisURL(address: .host("h", port: 6379))),
      (
        "redis://%75%3A:a%40b%2F%C3%A9:c@h",
        RedisURL(address: .host("h", port: 6379), user: "u:", password: "a@b/é:c")
      ),
      ("unix:///run/a%20b", RedisURL(address: .unixSocket(path: "/run/a b"))),
      (
        "unix://u:p@/run/r.sock?db=3",
        RedisURL(
          address: .unixSocket(path: "/run/r.sock"), user: "u", password: "p", database: 3)
      ),
    ])
  func valid(text: String, url: RedisURL) throws { #expect(try RedisURL(parsing: text) == url) }

  @Test(
    "A URL that is wrong is refused with what is wrong",
    arguments: [
      ("", "begin with"), ("h:6379", "begin with"), ("http://h", "begin with"),
      ("redis:h", "begin with"), ("redis://", "host is missing"), ("redis://:1", "host is missing"),
      ("redis:///1", "host is missing"), ("redis://h:", "port"), ("redis://h:0", "port"),
      ("redis://h:65536", "port"), ("redis://h:+1", "port"), ("redis://h:a", "port"),
      ("redis://::1", "brackets"), ("redis://[::1", "not closed"), ("redis://[::1]1", "behind"),
      ("redis://[]", "host is missing"), ("redis://h/a", "database"), ("redis://h/-1", "database"),
      ("redis://h/1/2", "database"), ("redis://h/99999999999999999999", "database"),
      ("redis://h?db=1", "query"), ("redis://h/1#a", "query"), ("redis:// h", "space"),
      ("redis://:%@h", "password"), ("redis://:%4@h", "password"), ("redis://:%zz@h", "password"),
      ("redis://%ff:p@h", "user is not UTF-8"), ("unix://", "path"), ("unix://h/a", "no host"),
      ("unix:///a?b=1", "?db="), ("unix:///a?db=", "database"),
    ])
  func invalid(text: String, problem: String) {
    let error = #expect(throws: RedisURL.Invalid.self) { try RedisURL(parsing: text) }
    #expect(error?.description.contains(problem) == true)
  }

  /// A password with a slash that is not encoded ends the authority in its middle.
  @Test(
    "No error quotes the password",
    arguments: [
      "redis://:hidden/x@h", "redis://u:hidden/x@h", "redis://:hidden%@h", "rediss://:hidden@h:x",
      "redis://:h/hidden@h", "redis://:a?hidden@h", "redis://:a#hidden@h", "hidden",
      "redis://hidden@h",
    ])
  func errors(text: String) {
    let error = #expect(throws: RedisURL.Invalid.self) { try RedisURL(parsing: text) }
    #expect(error?.description.contains("hidden") == false)
  }

  @Test(
    "A description is the URL with the password hidden",
    arguments: [
      ("redis://u:hidden@h/2", "redis://u:***@h:6379/2"),
      ("rediss://:hidden@[::1]:1", "rediss://:***@[::1]:1"), ("redis://h", "redis://h:6379"),
      ("unix://:hidden@/run/s?db=1", "unix://:***@/run/s?db=1"),
    ])
  func descriptions(text: String, description: String) throws {
    let url = try RedisURL(parsing: text)
    #expect("\(url)" == description)
    var dumped = ""
    dump(url, to: &dumped)
    dump(RedisConfiguration(url: url), to: &dumped)
    #expect(!(dumped + String(reflecting: url)).contains("hidden"))
  }
}
