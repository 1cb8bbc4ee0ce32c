import Testing

@testable import ProcessServer

/// The page for people. `Server/Tests/page.py` uses it in a browser.
@Suite(.timeLimit(.minutes(10))) struct PageTests {
  private static let files: [(path: String, type: String)] = [
    ("/", "text/html"), ("/page.css", "text/css"), ("/icon.svg", "image/svg+xml"),
    ("/page.js", "text/javascript"), ("/view.js", "text/javascript"),
    ("/client.js", "text/javascript"), ("/rows.js", "text/javascript"),
  ]

  @Test("Each file of the page is served without a token, with its type", arguments: files)
  func serving(path: String, type: String) async throws {
    try await TestServer.run { server in
      let reply = try await server.request("GET", path, token: nil)
      #expect(reply.status == 200)
      #expect(reply.headers["content-type"] == "\(type); charset=utf-8")
      #expect(!reply.body.isEmpty)
      // A token that is wrong is not looked at.
      #expect(try await server.request("GET", path, token: "wrong").body == reply.body)
    }
  }

  @Test("A browser is told to run the page's own files alone", arguments: files)
  func policy(path: String, type: String) async throws {
    try await TestServer.run { server in
      let headers = try await server.request("GET", path, token: nil).headers
      let policy = try #require(headers["content-security-policy"])
      let directives = policy.split(separator: "; ").map(String.init)
      #expect(directives.first == "default-src 'none'")
      for directive in [
        "script-src 'self'", "style-src 'self'", "connect-src 'self'", "base-uri 'none'",
        "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
      ] {
        #expect(directives.contains(directive))
      }
      #expect(!policy.contains("unsafe"))
      #expect(headers["x-content-type-options"] == "nosniff")
      #expect(headers["referrer-policy"] == "no-referrer")
      #expect(headers["cross-origin-opener-policy"] == "same-origin")
      #expect(headers["cross-origin-resource-policy"] == "same-origin")
      #expect(headers["cache-control"] == "no-cache")
    }
  }

  @Test("The page names no other host, no file that is not served, and has no inline script")
  func selfContained() async throws {
    try await TestServer.run { server in
      for (path, _) in Self.files {
        let text = try await server.request("GET", path, token: nil).text
          .replacing("http://www.w3.org/2000/svg", with: "")
        #expect(!text.contains("//www"), "\(path)")
        #expect(!text.contains("https:") && !text.contains("http:"), "\(path)")
        #expect(!text.contains("innerHTML") && !text.contains("insertAdjacent"), "\(path)")
        let named = text.matches(of: #/(?:src=|href=|from )"(?:\./)?([^"]+)"/#).map { "/\($0.1)" }
        for name in named { #expect(Self.files.contains { $0.path == name }, "\(name)") }
      }
      let page = try await server.request("GET", "/", token: nil).text
      let inline = #/\son[a-z]+=|\sstyle=|<style|<script(?! type="module" src=)/#
      #expect(page.firstMatch(of: inline) == nil)
    }
  }

  @Test("Other methods of the page are refused as elsewhere")
  func methods() async throws {
    try await TestServer.run { server in
      for (path, _) in Self.files {
        for method in ["POST", "HEAD", "DELETE"] {
          let reply = try await server.request(method, path, token: nil)
          #expect(reply.status == 405, "\(method) \(path)")
          #expect(reply.headers["allow"] == "GET", "\(method) \(path)")
        }
      }
      #expect(try await server.request("GET", "/page.html", token: nil).code == "not_found")
    }
  }

  @Test("The page is not served under a name that another site may have")
  func foreignHosts() async throws {
    try await TestServer.run { server in
      for (path, _) in Self.files {
        let reply = try await Wire.connect(port: server.port) { wire in
          try await wire.send("GET \(path) HTTP/1.1\r\nHost: evil.example\r\n\r\n")
          return try await wire.response()
        }
        #expect(reply.status == 403, "\(path)")
        #expect(reply.code == "forbidden", "\(path)")
      }
    }
  }
}
